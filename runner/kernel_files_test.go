package main

import "testing"

func TestThreadsOf(t *testing.T) {
	line := "42 (a) b (c) S 1 42 42 0 -1 4194560 118 0 0 0 0 0 0 0 20 0 17 0 8893 2887680 512"
	if got := threadsOf([]byte(line)); got != 17 {
		t.Errorf("%d", got)
	}
	if got := threadsOf([]byte("42 (x")); got != 0 {
		t.Errorf("%d", got)
	}
}

func TestOOMKillCount(t *testing.T) {
	for text, want := range map[string]int64{
		"low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n": 2,
		"oom_kill_disable 0\nunder_oom 0\noom_kill 5\n":                5,
	} {
		if got, known := oomKillCount(text); got != want || !known {
			t.Errorf("%q: %d, %v", text, got, known)
		}
	}
	if _, known := oomKillCount("oom_kill_disable 0\n"); known {
		t.Error("an absent line is not a count")
	}
}
