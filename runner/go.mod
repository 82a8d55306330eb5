module algorithm-operator.dev/runner

go 1.26
