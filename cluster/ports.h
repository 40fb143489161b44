/* ports.h - whether an address can be listened on, and who keeps us from it. */
#pragma once

#include <inaetics/error.h>

/* -EADDRINUSE: the message names the owner ("etcd, pid 123") as far as it can be seen. */
int port_check(const char *address, unsigned port, InaError *error);
/* A port of `address` that is free: `preferred` if it is. */
int port_free(const char *address, unsigned preferred, unsigned *ret, InaError *error);
