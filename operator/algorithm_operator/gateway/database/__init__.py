"""What the gateway itself has to remember: uploads, sessions, images, archives, and who started which job when.

models.py: the tables; sessions of them: engine.py; how older ones become these: migrations/.
"""
