package main

const (
	auditArch          = 0xc000003e // AUDIT_ARCH_X86_64; i386 comes with another
	sysSeccomp         = 317
	sysSchedSetattr    = 314
	firstForeignNumber = 0x40000000 // x32: the same arch, numbers from this bit on
)
