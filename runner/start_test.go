package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestArgumentsReachTheAlgorithmAsTheyAre(t *testing.T) {
	j := newJob(t, "/bin/sh", "-c", `for a; do printf '%s\n' "$a"; done`, "sh")
	j.settings["cmd"] = []string{"$(HOME)", "$$", "a b", "", "%s"}
	r := j.run()
	record := r.ended(t, 0)
	if want := "$(HOME)\n$$\na b\n\n%s\n"; r.stdout != want || r.outLog != want {
		t.Errorf("stdout %q, file %q", r.stdout, r.outLog)
	}
	if r.start == nil || !r.start.Seccomp || r.start.Version != 1 || r.lines != 2 {
		t.Errorf("start event %+v, %d lines", r.start, r.lines)
	}
	if record.Signal != nil || record.StartError != nil || record.TimedOut || record.MaxRSSBytes == 0 ||
		record.Stdout != (streamRecord{19, 19}) || record.Stderr != (streamRecord{}) || record.LastStderrLine != "" {
		t.Errorf("%+v", record)
	}
	if record.FinishedAt.Before(record.StartedAt) || time.Since(record.StartedAt) > time.Minute {
		t.Errorf("times %v, %v", record.StartedAt, record.FinishedAt)
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		name, script, signal string
		code                 int
	}{
		{"own", "echo no good >&2; exit 3", "<nil>", 3},
		{"own, high", "exit 255", "<nil>", 255},
		{"killed", "kill -9 $$", "SIGKILL", 137},
		{"segfault", "kill -SEGV $$", "SIGSEGV", 139},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newJob(t, "/bin/sh", "-c", c.script).run()
			if record := r.ended(t, c.code); text(record.Signal) != c.signal {
				t.Errorf("signal %s", text(record.Signal))
			}
		})
	}
}

func TestStartErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(content), mode))
		return path
	}
	for _, c := range []struct {
		name string
		argv []string
		code int
		says string
	}{
		{"nothing to start", nil, exitNotFound, "neither ENTRYPOINT nor CMD"},
		{"not in PATH", []string{"no-such-program"}, exitNotFound, `does not exist: "no-such-program" is not in the PATH`},
		{"no such file", []string{"/no/such/program"}, exitNotFound, `does not exist: there is no "/no/such/program"`},
		{"a folder", []string{"/usr"}, exitNotExecutable, "does not have permission"},
		{"not executable", []string{write("data", "x", 0o644)}, exitNotExecutable, "does not have permission"},
		{"no program", []string{write("garbage", "\x7fELF garbage", 0o755)}, exitNotExecutable, "no program for this processor"},
		{"interpreter missing", []string{write("script", "#!/no/such/python\n", 0o755)}, exitNotFound, "the interpreter or loader"},
		{"empty name", []string{""}, exitNotFound, "does not exist"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newJob(t, c.argv...).run()
			record := r.ended(t, c.code)
			if !strings.Contains(text(record.StartError), c.says) || !strings.Contains(r.stderr, c.says) {
				t.Errorf("startError %q, stderr %q", text(record.StartError), r.stderr)
			}
			if record.LastStderrLine == "" || record.RanSeconds != 0 {
				t.Errorf("%+v", record)
			}
		})
	}
}

func TestLookUpUsesTheImagesPath(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "algorithm"), []byte("#!/bin/sh\necho found $0 in $PWD\n"), 0o755))
	j := newJob(t, "algorithm")
	j.env = append(j.env[1:], "PATH=/nonexistent:"+dir)
	r := j.run()
	r.ended(t, 0)
	if !strings.HasPrefix(r.stdout, "found "+dir+"/algorithm in "+j.dir) {
		t.Errorf("%q", r.stdout)
	}

	j = newJob(t, "sh", "-c", "echo ok")
	j.env = []string{} // no PATH at all: Docker's default
	if r := j.run(); r.code != 0 || r.stdout != "ok\n" {
		t.Errorf("%d %q %q", r.code, r.stdout, r.stderr)
	}
}

func TestEnvironment(t *testing.T) {
	j := newJob(t, "/usr/bin/env")
	j.env = append(j.env, "KUBERNETES_SERVICE_HOST=10.96.0.1", "KEPT=image", "CHANGED=image")
	j.settings["env"] = settings{"SET": settings{"CHANGED": "operator", "NEW": "a=b"}, "UNSET_PREFIXES": []string{"KUBERNETES_"}}
	r := j.run()
	r.ended(t, 0)
	for _, want := range []string{"PATH=/usr/local/bin:/usr/bin:/bin\n", "KEPT=image\n", "CHANGED=operator\n", "NEW=a=b\n", "HOME=/tmp\n"} {
		if strings.Count(r.stdout, want) != 1 {
			t.Errorf("%q is not once in %q", want, r.stdout)
		}
	}
	if strings.Contains(r.stdout, "KUBERNETES") || strings.Contains(r.stdout, "=image\nCHANGED=image") {
		t.Errorf("%q", r.stdout)
	}

	j = newJob(t, "/usr/bin/env")
	j.env = []string{"OMP_NUM_THREADS=7", "EMPTY=", "Grand_Challenge_X=1", "GRAND=kept", "aliased=1"}
	j.settings["env"] = settings{
		"SET":            settings{"BOTH": "set"},
		"DEFAULT":        settings{"OMP_NUM_THREADS": "2", "EMPTY": "filled", "ITK_THREADS": "2", "BOTH": "default", "ALIASED": "2"},
		"UNSET_PREFIXES": []string{"grand_challenge_"},
	}
	r = j.run()
	r.ended(t, 0)
	got := strings.Split(strings.TrimSpace(r.stdout), "\n")
	slices.Sort(got)
	if want := []string{"ALIASED=2", "BOTH=set", "EMPTY=", "GRAND=kept", "HOME=/tmp", "ITK_THREADS=2", "OMP_NUM_THREADS=7", "aliased=1"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestHome(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	folder := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		must(t, os.Mkdir(path, mode))
		must(t, os.Chmod(path, mode))
		return path
	}
	packages, private := folder("packages", 0o555), folder("private", 0o600)
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o755))
	root := filepath.Join(dir, "root")
	must(t, os.Symlink("/", root))
	for _, c := range []struct{ name, environment, setting, want string }{
		{"of the environment, not writable", packages, "", packages},
		{"of the settings", "/usr", packages, packages},
		{"of the settings, the environment has none", "", packages, packages},
		{"none", "", "", "/tmp"},
		{"the settings have one that is not there", packages, "/nonexistent", "/tmp"},
		{"not to be entered", private, "", "/tmp"},
		{"a file", file, "", "/tmp"},
		{"the root directory", "/", "", "/tmp"},
		{"the root directory by another name", root, "", "/tmp"},
	} {
		j := newJob(t, "/usr/bin/env")
		j.asNobody()
		j.env = []string{}
		if c.environment != "" {
			j.env = []string{"HOME=" + c.environment}
		}
		j.settings["home"] = nil
		if c.setting != "" {
			j.settings["home"] = c.setting
		}
		if r := j.run(); r.code != 0 || r.stdout != "HOME="+c.want+"\n" {
			t.Errorf("%s: %q %q", c.name, r.stdout, r.stderr)
		}
	}
}

func TestNothingStartsWithoutTheCollector(t *testing.T) {
	j := newJob(t, "/bin/sh", "-c", "echo started")
	j.listener.Close()
	j.settings["socketTimeoutSeconds"] = 0.3
	r := j.run()
	if r.code != exitInternal || r.stdout != "" || !strings.Contains(r.stderr, "the collector was not there within 0.3 s") {
		t.Errorf("%d %q %q", r.code, r.stdout, r.stderr)
	}
}

func TestWithoutSocketNobodyIsTold(t *testing.T) {
	j := newJob(t, "/bin/sh", "-c", "exit 4")
	j.settings["socket"] = ""
	if r := j.run(); r.code != 4 || r.record != nil {
		t.Errorf("%d %+v", r.code, r.record)
	}
}

func TestLogThatIsThereAlreadyIsNotFollowed(t *testing.T) {
	j := newJob(t, "/bin/sh", "-c", "echo started")
	target := filepath.Join(j.dir, "target")
	must(t, os.Symlink(target, j.logPath("stderr.log")))
	r := j.run()
	record := r.ended(t, exitInternal)
	if _, err := os.Stat(target); err == nil || r.stdout != "" || !strings.Contains(text(record.StartError), "stderr.log cannot be created") {
		t.Errorf("%v %q %q", err, r.stdout, text(record.StartError))
	}
}

func TestSettingsAreStrict(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(settings)
		says   string
	}{
		{"version", func(s settings) { s["version"] = 2 }, "version is 2"},
		{"unknown key", func(s settings) { s["netwrok"] = "Loopback" }, `unknown field "netwrok"`},
		{"network", func(s settings) { s["network"] = "Host" }, `network is "Host"`},
		{"network missing", func(s settings) { delete(s, "network") }, `network is ""`},
		{"limit", func(s settings) { delete(s, "limitSeconds") }, "limitSeconds is 0"},
		{"reserve", func(s settings) { s["reserveSeconds"] = 60 }, "leaves nothing"},
		{"another kernel's clock", func(s settings) { s["startedAtBoottime"] = boottime() + 1000 }, "one kernel"},
		{"relative logs", func(s settings) { s["logs"] = settings{"dir": "logs", "maxBytes": 4096} }, "absolute path"},
		{"socket of the file system", func(s settings) { s["socket"] = "/run/socket" }, "abstract address"},
		{"empty prefix", func(s settings) { s["env"] = settings{"UNSET_PREFIXES": []string{""}} }, "empty prefix"},
		{"variable", func(s settings) { s["env"] = settings{"DEFAULT": settings{"A=B": "c"}} }, `env.DEFAULT: "A=B"`},
		{"home", func(s settings) { s["home"] = "/a\x00b" }, "home is"},
		{"disk limit", func(s settings) { s["disk"] = settings{"limitBytes": -1} }, "disk.limitBytes is -1"},
		{"disk path", func(s settings) { s["disk"] = settings{"paths": []string{"output"}} }, `"output" is not an absolute path`},
		{"file system", func(s settings) { s["disk"] = settings{"filesystems": []string{""}} }, `"" is not an absolute path`},
		{"disk key", func(s settings) { s["disk"] = settings{"limit": 1} }, `unknown field "limit"`},
		{"type", func(s settings) { s["cmd"] = "echo" }, "is not valid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := newJob(t, "/bin/echo", "started")
			c.change(j.settings)
			r := j.run()
			if r.code != exitInternal || r.stdout != "" || !strings.Contains(r.stderr, c.says) {
				t.Errorf("%d %q %q", r.code, r.stdout, r.stderr)
			}
		})
	}
	t.Run("more after it", func(t *testing.T) {
		r := newJob(t).runWith([]byte("{}{}"))
		if r.code != exitInternal || !strings.Contains(r.stderr, "more after") {
			t.Errorf("%d %q", r.code, r.stderr)
		}
	})
}
