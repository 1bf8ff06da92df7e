package main

import "syscall"

// killWithParent makes a process end when this one does, in whatever way.
func killWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
