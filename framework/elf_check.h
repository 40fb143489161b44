/* elf_check.h - whether a file can be loaded into this process, asked before
 * dlopen: it would say no less clearly, or crash on a file that was cut. */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>
#include <stddef.h>

/* Names of processors as Bundle-NativeCode writes them (OSGi Core 8, section 3.10.3, and "riscv64"). */
const char *elf_processor(void);                          /* this one: "x86-64" */
int elf_processor_matches(const char *name);              /* an alias of it too ("amd64"); without regard to case */
bool elf_processors_alike(const char *a, const char *b);  /* names of the same processor */
const char *elf_machine_processor(unsigned machine);      /* of an e_machine; NULL when unknown */
int elf_processor_is(const char *name, unsigned machine); /* whether the name, or an alias, means this e_machine */
/* e_machine of an ELF file, -EINVAL when it is none. */
int elf_machine(const void *data, size_t size, InaError *error);
/* -ENOEXEC: `error` says what is wrong. `data` is the whole file. */
int elf_check(const void *data, size_t size, InaError *error);
