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
