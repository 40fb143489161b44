/* options.h - the command line of inaetics-provisioning. */
#pragma once

#include "server.h"

/* 1: go on, 0: --help was answered, negative: refused. On success `ret` is to be cleared with server_options_clear. */
int options_parse(int argc, char *argv[], ServerOptions *ret, InaError *error);
