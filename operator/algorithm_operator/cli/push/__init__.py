"""`kubectl algorithm push`: an image that was saved to a file goes into a registry."""
