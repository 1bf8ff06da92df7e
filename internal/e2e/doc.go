// Package e2e tests supstream as its users run it: the real command, as
// processes of its own, on real Postgres and NATS servers that are killed,
// compared with what SQL says on the mirror.
package e2e
