package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// `runner user USER[:GROUP]` looks up an image's USER instruction in the image's own passwd and group files, by Docker's
// rules, and writes the answer as JSON to the container's termination message.

const (
	exitDataError = 65 // EX_DATAERR of sysexits(3): the image is wrong

	maxAccountBytes = 1 << 20
	maxHomeBytes    = 1024
	maxID           = 1<<31 - 1 // as in Docker

	invalidUser  = "Invalid argument for the containers USER instruction"
	unknownUser  = "The user defined in the containers USER instruction does not exist"
	unknownGroup = "The group defined in the containers USER instruction does not exist"
)

// account is whom the algorithm runs as. Home is nil where the image's passwd has none for the user.
type account struct {
	UID  int     `json:"uid"`
	GID  int     `json:"gid"`
	Home *string `json:"home"`
}

func userMain(spec string) int {
	found, err := lookUpUser("/", spec)
	code, answer := 0, any(found)
	if err != nil {
		say("%v", err)
		code, answer = exitDataError, map[string]string{"error": err.Error()}
	}
	if err := terminationMessage(answer); err != nil {
		say("the termination message cannot be written: %v", err)
		return exitInternal
	}
	return code
}

// terminationMessage leaves message for the kubelet to pick up.
func terminationMessage(message any) error {
	path := os.Getenv("TERMINATION_LOG_PATH")
	if path == "" {
		path = terminationLog
	}
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// lookUpUser resolves USER[:GROUP], names or numbers, with the account files below root.
func lookUpUser(root, spec string) (*account, error) {
	user, group, hasGroup := strings.Cut(spec, ":")
	if user == "" || (hasGroup && group == "") || strings.ContainsAny(spec, "\n\x00") {
		return nil, fmt.Errorf("%s: %s", invalidUser, quote(spec))
	}
	// name:password:uid:gid:comment:home:shell
	entry, err := findAccount(filepath.Join(root, "etc/passwd"), user, 4)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", unknownUser, quote(user), err)
	}
	found := &account{}
	if entry != nil {
		found.UID, _ = parseID(entry[2])
		found.GID, _ = parseID(entry[3])
		if len(entry) > 5 {
			found.Home = home(entry[5])
		}
	} else if found.UID, err = parseID(user); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", invalidUser, quote(user), err)
	}
	if !hasGroup {
		return found, nil
	}
	// name:password:gid:members
	entry, err = findAccount(filepath.Join(root, "etc/group"), group, 3)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", unknownGroup, quote(group), err)
	}
	if entry != nil {
		found.GID, _ = parseID(entry[2])
	} else if found.GID, err = parseID(group); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", invalidUser, quote(group), err)
	}
	return found, nil
}

// findAccount is the first line of an account file whose name is wanted, or whose id if wanted is a number; its first
// ids fields have to be there and its ids have to be valid. Without such a line a number is nil: it stands for itself.
func findAccount(path, wanted string, ids int) ([]string, error) {
	text, cut, err := readAccounts(path)
	for line := range bytes.Lines(text) {
		fields := strings.Split(strings.TrimSuffix(string(line), "\n"), ":")
		if len(fields) < ids || (fields[0] != wanted && fields[2] != wanted) || !validIDs(fields[2:ids]) {
			continue
		}
		return fields, nil
	}
	if isNumber(wanted) {
		return nil, nil
	}
	if err == nil && cut {
		err = fmt.Errorf("it is not in the first %d bytes of %s", maxAccountBytes, path)
	} else if err == nil {
		err = fmt.Errorf("it is not in %s", path)
	}
	return nil, err
}

// readAccounts reads at most maxAccountBytes in whole lines. It waits for nothing: what is no regular file is refused.
func readAccounts(path string) (text []byte, cut bool, err error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, false, fmt.Errorf("the image has no %s", path)
	}
	if err != nil {
		return nil, false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, false, err
	}
	if !info.Mode().IsRegular() {
		return nil, false, fmt.Errorf("%s is no regular file", path)
	}
	text, err = io.ReadAll(io.LimitReader(file, maxAccountBytes+1))
	if len(text) > maxAccountBytes {
		cut = true
		text = text[:bytes.LastIndexByte(text[:maxAccountBytes], '\n')+1]
	}
	return text, cut, err
}

func validIDs(fields []string) bool {
	for _, field := range fields {
		if _, err := parseID(field); err != nil {
			return false
		}
	}
	return true
}

func isNumber(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

func parseID(text string) (int, error) {
	id, err := strconv.Atoi(text)
	if !isNumber(text) || err != nil || id > maxID {
		return 0, fmt.Errorf("it must be a number from 0 to %d", maxID)
	}
	return id, nil
}

// home is nil for what cannot be a home: it travels to the operator, so it is bounded.
func home(field string) *string {
	if !filepath.IsAbs(field) || len(field) > maxHomeBytes {
		return nil
	}
	return &field
}
