"""Image files of every format that stage takes, each read into one image; run in the sandbox alone."""
