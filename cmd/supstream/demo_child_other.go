//go:build !linux

package main

import "syscall"

// killWithParent does nothing: only Linux can tie a process to its parent. A demo that is killed leaves its child behind here.
func killWithParent(*syscall.SysProcAttr) {}
