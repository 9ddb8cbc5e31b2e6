"""The kernel rung: observe every path-taking system call of a process tree through seccomp user notification."""
