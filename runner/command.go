package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// defaultPath is what Docker gives to an image without a PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const (
	doesNotExist  = "The command defined by the containers ENTRYPOINT and CMD instructions does not exist"
	notPermitted  = "The user defined in the containers USER instruction does not have permission to execute the command defined by the containers ENTRYPOINT and CMD instructions"
	cannotExecute = "The command defined by the containers ENTRYPOINT and CMD instructions cannot be executed"
)

// startFailure says why the algorithm was not started: the container's exit code and a sentence for its owner.
type startFailure struct {
	code    int
	message string
}

// command is what is executed: the file, its argv and its environment.
type command struct {
	path string
	argv []string
	env  []string
}

// resolveCommand applies Docker's start rules: ENTRYPOINT then CMD, looked up in the PATH that the image sets.
func resolveCommand(cfg *config, environ []string) (*command, *startFailure) {
	argv := slices.Concat(cfg.Entrypoint, cfg.Cmd)
	if len(argv) == 0 {
		return nil, &startFailure{exitNotFound, "The image has neither ENTRYPOINT nor CMD"}
	}
	if slices.ContainsFunc(argv, func(arg string) bool { return strings.ContainsRune(arg, 0) }) {
		return nil, &startFailure{exitNotExecutable, cannotExecute + ": they contain a NUL character"}
	}
	env := childEnv(environ, cfg.Env, cfg.Home)
	path, failure := lookUp(argv[0], env)
	if failure != nil {
		return nil, failure
	}
	return &command{path: path, argv: argv, env: env}, nil
}

// lookUp finds name as execvp does: as it is if it has a slash, else in the PATH of env.
func lookUp(name string, env []string) (string, *startFailure) {
	if strings.Contains(name, "/") {
		if err := executableFile(name); err != nil {
			return "", executeFailure(name, err)
		}
		return name, nil
	}
	search, ok := getenv(env, "PATH")
	if !ok {
		search = defaultPath
	}
	var denied *startFailure
	for _, dir := range filepath.SplitList(search) {
		if dir == "" {
			dir = "."
		}
		// Not filepath.Join: it would strip the "./" that keeps a relative result a path.
		path := dir + "/" + name
		err := executableFile(path)
		if err == nil {
			return path, nil
		}
		if denied == nil && name != "" && errors.Is(err, fs.ErrPermission) {
			denied = executeFailure(path, err)
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", &startFailure{exitNotFound, fmt.Sprintf("%s: %s is not in the PATH %s", doesNotExist, quote(name), quote(search))}
}

// executableFile is nil if path is a regular file that this process may execute.
func executableFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return syscall.EACCES
	}
	return syscall.Access(path, 1) // X_OK
}

// executeFailure turns the error of looking at, or executing, path into Docker's exit codes and the owner's words.
func executeFailure(path string, err error) *startFailure {
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		if executableFile(path) == nil { // execve's ENOENT for a file that is there
			return &startFailure{exitNotFound, fmt.Sprintf("%s: the interpreter or loader that %s names is not in the image", doesNotExist, quote(path))}
		}
		return &startFailure{exitNotFound, fmt.Sprintf("%s: there is no %s", doesNotExist, quote(path))}
	case errors.Is(err, fs.ErrPermission):
		return &startFailure{exitNotExecutable, fmt.Sprintf("%s: %s", notPermitted, quote(path))}
	case errors.Is(err, syscall.ENOEXEC):
		return &startFailure{exitNotExecutable, fmt.Sprintf("%s: %s is no program for this processor, or a script without a #! line", cannotExecute, quote(path))}
	}
	return &startFailure{exitNotExecutable, fmt.Sprintf("%s: %s: %v", cannotExecute, quote(path), err)}
}

// quote makes a name that the image chose safe to print: escaped and bounded.
func quote(text string) string {
	if len(text) > 200 {
		return fmt.Sprintf("%+q…", text[:200])
	}
	return fmt.Sprintf("%+q", text)
}
