package main

import (
	"os"
	"slices"
	"strings"
	"syscall"
)

// childEnv is the image's environment, less the unwanted prefixes, plus what the operator sets, with a usable HOME.
func childEnv(environ []string, change envConfig, home *string) []string {
	env := make([]string, 0, len(environ)+len(change.Set)+len(change.Default)+1)
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		_, replaced := change.Set[name]
		unwanted := slices.ContainsFunc(change.UnsetPrefixes, func(p string) bool { return hasPrefixFold(name, p) })
		if !replaced && !unwanted {
			env = append(env, entry)
		}
	}
	for name, value := range change.Set {
		env = append(env, name+"="+value)
	}
	for name, value := range change.Default {
		if _, ok := getenv(env, name); !ok {
			env = append(env, name+"="+value)
		}
	}
	return setHome(env, home)
}

// setHome replaces HOME by the one of the settings, and by /tmp unless it is a directory that can be entered. It need
// not be writable: images have their packages there. The root directory is nobody's home: it means that there is none.
func setHome(env []string, home *string) []string {
	wanted, ok := getenv(env, "HOME")
	if home != nil {
		wanted, ok = *home, true
	}
	if !ok || !enterable(wanted) {
		wanted = "/tmp"
	}
	env = slices.DeleteFunc(env, func(entry string) bool { return strings.HasPrefix(entry, "HOME=") })
	return append(env, "HOME="+wanted)
}

// enterable tells whether path is a directory other than "/" that this process may enter.
func enterable(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() || syscall.Access(path, 1) != nil { // X_OK
		return false
	}
	root, err := os.Stat("/")
	return err != nil || !os.SameFile(info, root)
}

func getenv(env []string, name string) (string, bool) {
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

func hasPrefixFold(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}
