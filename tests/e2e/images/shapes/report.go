// Command report is the program of every image here: static, and it asks nothing of the image that it runs in. It
// writes how it was started, and as whom, to /output/results.json.
package main

import (
	"encoding/json"
	"log"
	"os"
	"strings"
)

func main() {
	cwd, err := os.Getwd()
	check(err)
	groups, err := os.Getgroups()
	check(err)
	environment := map[string]string{}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		environment[name] = value
	}
	_, err = os.ReadFile("/input/inputs.json")
	check(err)
	check(os.WriteFile("/tmp/scratch", nil, 0o600))
	text, err := json.Marshal(map[string]any{
		"argv":        os.Args,
		"cwd":         cwd,
		"environment": environment,
		"uid":         os.Getuid(),
		"gid":         os.Getgid(),
		"groups":      groups,
	})
	check(err)
	check(os.WriteFile("/output/results.json", text, 0o600))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
