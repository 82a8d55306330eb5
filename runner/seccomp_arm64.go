package main

const (
	auditArch          = 0xc00000b7 // AUDIT_ARCH_AARCH64; 32-bit ARM comes with another
	sysSeccomp         = 277
	sysSchedSetattr    = 274
	firstForeignNumber = 0x40000000 // nothing is there on arm64
)
