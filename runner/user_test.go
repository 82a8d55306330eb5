package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const passwd = `root:x:0:0:root:/root:/bin/sh
broken
short:x
noid:x:many:1:::
twenty:x:20
user:x:1000:1001:,,,:/home/user:/bin/sh
relative:x:1002:1002::home:/bin/sh
2000:x:3000:3000::/home/named-as-a-number:
huge:x:4294967296:1::/:
`

const groups = `root:x:0:
broken
staff:x:50:user
users:x:1001:
`

func imageWith(t *testing.T, passwd, group string) string {
	t.Helper()
	root := t.TempDir()
	must(t, os.Mkdir(filepath.Join(root, "etc"), 0o755))
	for name, text := range map[string]string{"passwd": passwd, "group": group} {
		if text != "" {
			must(t, os.WriteFile(filepath.Join(root, "etc", name), []byte(text), 0o644))
		}
	}
	return root
}

func TestUserIsLookedUpAsDockerDoes(t *testing.T) {
	root := imageWith(t, passwd, groups)
	for spec, want := range map[string]struct {
		uid, gid int
		home     string
	}{
		"user":         {1000, 1001, "/home/user"},
		"1000":         {1000, 1001, "/home/user"},
		"user:staff":   {1000, 50, "/home/user"},
		"user:7":       {1000, 7, "/home/user"},
		"1000:50":      {1000, 50, "/home/user"},
		"root":         {0, 0, "/root"},
		"0":            {0, 0, "/root"},
		"23456":        {23456, 0, "<nil>"},
		"23456:users":  {23456, 1001, "<nil>"},
		"relative":     {1002, 1002, "<nil>"},
		"2000":         {3000, 3000, "/home/named-as-a-number"},
		"20":           {20, 0, "<nil>"},
		"2147483647:1": {2147483647, 1, "<nil>"},
	} {
		got, err := lookUpUser(root, spec)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
		} else if got.UID != want.uid || got.GID != want.gid || text(got.Home) != want.home {
			t.Errorf("%s: %d:%d %s", spec, got.UID, got.GID, text(got.Home))
		}
	}
}

func TestUserThatDoesNotExist(t *testing.T) {
	full, empty := imageWith(t, passwd, groups), imageWith(t, "", "")
	for _, c := range []struct{ root, spec, message, says string }{
		{full, "nobody", unknownUser, `"nobody": it is not in `},
		{full, "noid", unknownUser, "it is not in"},
		{full, "huge", unknownUser, "it is not in"},
		{full, "twenty", unknownUser, "it is not in"},
		{full, "user:nogroup", unknownGroup, `"nogroup": it is not in`},
		{empty, "user", unknownUser, "the image has no"},
		{empty, "1:users", unknownGroup, "the image has no"},
		{full, "", invalidUser, `""`},
		{full, ":staff", invalidUser, ""},
		{full, "user:", invalidUser, ""},
		{full, "user\nroot:x:0:0", invalidUser, `\n`},
		{full, "4294967296", invalidUser, "from 0 to 2147483647"},
		{full, "1:99999999999999999999", invalidUser, "from 0 to 2147483647"},
		{full, "-1", unknownUser, "it is not in"},
	} {
		if got, err := lookUpUser(c.root, c.spec); err == nil {
			t.Errorf("%q: %+v", c.spec, got)
		} else if !strings.HasPrefix(err.Error(), c.message) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v", c.spec, err)
		}
	}
}

func TestAccountFilesAreBounded(t *testing.T) {
	long := strings.Repeat("x", 2<<20)
	for name, c := range map[string]struct{ passwd, says string }{
		"one long line":     {"a:x:1:1::/" + long, "not in the first 1048576 bytes"},
		"after a long line": {long + "\nuser:x:1:1::/a:\n", "not in the first 1048576 bytes"},
		"many lines":        {strings.Repeat("filler:x:1:1::/a:\n", 1<<17) + "user:x:1:1::/a:\n", "not in the first 1048576 bytes"},
	} {
		if _, err := lookUpUser(imageWith(t, c.passwd, ""), "user"); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The line that is cut must not be taken for whole: its ids may have lost digits.
	cut := strings.Repeat("f:x:1:1:::\n", maxAccountBytes/11)
	cut = cut[:maxAccountBytes-len("user:x:1:10")-11]
	cut = cut[:strings.LastIndexByte(cut, '\n')+1]
	cut += strings.Repeat("c", maxAccountBytes-len(cut)-len("\nuser:x:1:10")) + "\nuser:x:1:100::/a:\n"
	if got, err := lookUpUser(imageWith(t, cut, ""), "user"); err == nil {
		t.Errorf("%+v", got)
	}
	bound := imageWith(t, "user:x:1:1::/"+strings.Repeat("h", maxHomeBytes)+":\n", "")
	if got, err := lookUpUser(bound, "user"); err != nil || got.Home != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAccountFileThatIsNoFileDoesNotHang(t *testing.T) {
	for name, put := range map[string]func(string) error{
		"fifo":   func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"folder": func(path string) error { return os.Mkdir(path, 0o755) },
		"zeros":  func(path string) error { return os.Symlink("/dev/zero", path) },
	} {
		root := imageWith(t, "", groups)
		must(t, put(filepath.Join(root, "etc", "passwd")))
		answered := make(chan error, 1)
		go func() {
			_, err := lookUpUser(root, "user")
			answered <- err
		}()
		select {
		case err := <-answered:
			if err == nil || !strings.Contains(err.Error(), "no regular file") {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%s: no answer", name)
		}
	}
}

// The command as the kubelet runs it, on this machine's own account files.
func TestUserCommand(t *testing.T) {
	message := filepath.Join(t.TempDir(), "termination-log")
	must(t, os.WriteFile(message, []byte(strings.Repeat("left over ", 50)), 0o666)) // it is there already in a Pod
	for _, c := range []struct {
		spec, want string
		code       int
	}{
		{"root:0", `{"uid":0,"gid":0,"home":"/root"}`, 0},
		{"54321", `{"uid":54321,"gid":0,"home":null}`, 0},
		{"no-such-user", `{"error":"The user defined in the containers USER instruction does not exist: \"no-such-user\": it is not in /etc/passwd"}`, 65},
	} {
		cmd := exec.Command(binary, "user", c.spec)
		cmd.Env = []string{"TERMINATION_LOG_PATH=" + message}
		cmd.Run()
		got, err := os.ReadFile(message)
		must(t, err)
		if string(got) != c.want || cmd.ProcessState.ExitCode() != c.code || !json.Valid(got) {
			t.Errorf("%s: exit code %d, %s", c.spec, cmd.ProcessState.ExitCode(), got)
		}
	}
}
