#include "elf_check.h"
#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

static const struct {
    unsigned machine;
    const char *names[5]; /* the canonical one first */
} processors[] = {
    {EM_X86_64, {"x86-64", "x86_64", "amd64", "em64t"}},
    {EM_AARCH64, {"AArch64", "arm64"}},
    {EM_RISCV, {"riscv64"}},
    {EM_386, {"x86", "i386", "i686", "pentium"}},
    {EM_ARM, {"arm_le", "arm", "armhf"}},
    {EM_PPC64, {"PowerPC-64-LE", "ppc64le"}},
    {EM_S390, {"s390x"}},
};
#define N_PROCESSORS (sizeof processors / sizeof *processors)

#if defined(__x86_64__)
#define HOST_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define HOST_MACHINE EM_AARCH64
#elif defined(__riscv)
#define HOST_MACHINE EM_RISCV
#elif defined(__i386__)
#define HOST_MACHINE EM_386
#elif defined(__arm__)
#define HOST_MACHINE EM_ARM
#elif defined(__powerpc64__)
#define HOST_MACHINE EM_PPC64
#elif defined(__s390x__)
#define HOST_MACHINE EM_S390
#else
#define HOST_MACHINE EM_NONE /* has to be added here; until then nothing can be loaded */
#endif

#define HOST_CLASS (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)
#define HOST_DATA (__BYTE_ORDER == __LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB)

const char *elf_machine_processor(unsigned machine)
{
    for (size_t i = 0; i < N_PROCESSORS; i++)
        if (processors[i].machine == machine)
            return processors[i].names[0];
    return NULL;
}

const char *elf_processor(void)
{
    const char *name = elf_machine_processor(HOST_MACHINE);
    return name ? name : "unknown";
}

int elf_processor_is(const char *name, unsigned machine)
{
    for (size_t i = 0; i < N_PROCESSORS; i++)
        for (size_t j = 0; processors[i].machine == machine && j < 5 && processors[i].names[j]; j++)
            if (strcasecmp(processors[i].names[j], name) == 0)
                return 1;
    return 0;
}

bool elf_processors_alike(const char *a, const char *b)
{
    for (size_t i = 0; i < N_PROCESSORS; i++)
        if (elf_processor_is(a, processors[i].machine) && elf_processor_is(b, processors[i].machine))
            return true;
    return strcasecmp(a, b) == 0;
}

int elf_processor_matches(const char *name)
{
    return elf_processor_is(name, HOST_MACHINE);
}

int elf_machine(const void *data, size_t size, InaError *error)
{
    const unsigned char *bytes = data;

    /* e_machine stands at 18 in both classes. */
    if (size < 20 || memcmp(bytes, ELFMAG, SELFMAG) != 0)
        return ina_error_set(error, EINVAL, "not an ELF file");
    if (bytes[EI_DATA] == ELFDATA2MSB)
        return bytes[18] << 8 | bytes[19];
    return bytes[19] << 8 | bytes[18];
}

/* The table of sections stands at the end of what linkers write: a file without it was cut. */
static bool sections_within(size_t size, const ElfW(Ehdr) * header)
{
    return header->e_shoff == 0 ||
           (header->e_shoff <= size && (size - header->e_shoff) / sizeof(ElfW(Shdr)) >= header->e_shnum);
}

/* All that the loader would map lies within the file. */
static bool segments_within(const void *data, size_t size, const ElfW(Ehdr) * header)
{
    if (header->e_phentsize != sizeof(ElfW(Phdr)) || header->e_phoff > size ||
        (size - header->e_phoff) / sizeof(ElfW(Phdr)) < header->e_phnum)
        return false;
    for (unsigned i = 0; i < header->e_phnum; i++) {
        ElfW(Phdr) segment;
        memcpy(&segment, (const char *)data + header->e_phoff + i * sizeof segment, sizeof segment);
        if ((segment.p_type == PT_LOAD || segment.p_type == PT_DYNAMIC) &&
            (segment.p_offset > size || segment.p_filesz > size - segment.p_offset))
            return false;
    }
    return true;
}

int elf_check(const void *data, size_t size, InaError *error)
{
    ElfW(Ehdr) header;

    int machine = elf_machine(data, size, error);
    if (machine < 0)
        return ina_error_set(error, ENOEXEC, "not a shared object (ELF)");
    if (machine != HOST_MACHINE) {
        const char *name = elf_machine_processor((unsigned)machine);
        return ina_error_set(error, ENOEXEC, "made for %s (ELF machine %d); this machine is %s",
                             name ? name : "an unknown processor", machine, elf_processor());
    }
    if (size < sizeof header)
        return ina_error_set(error, ENOEXEC, "the shared object is cut");
    memcpy(&header, data, sizeof header);
    if (header.e_ident[EI_CLASS] != HOST_CLASS || header.e_ident[EI_DATA] != HOST_DATA)
        return ina_error_set(error, ENOEXEC, "ELF class %u and byte order %u; this process takes %u and %u",
                             header.e_ident[EI_CLASS], header.e_ident[EI_DATA], HOST_CLASS, HOST_DATA);
    if (header.e_type != ET_DYN)
        return ina_error_set(error, ENOEXEC, "an ELF file of type %u; a shared object has type %u", header.e_type,
                             ET_DYN);
    if (!segments_within(data, size, &header) || !sections_within(size, &header))
        return ina_error_set(error, ENOEXEC, "the shared object is cut: parts of it would lie behind its end");
    return 0;
}
