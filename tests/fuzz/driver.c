/* driver.c - replays a corpus where the fuzz target is not built by libFuzzer:
 * each argument is a file or a folder of files. */
#include "base/files.h"
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define INPUT_MAX (1024u * 1024u)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t replayed;

static void replay_file(const char *path)
{
    char *data;
    size_t size;
    InaError error;
    if (file_read(path, INPUT_MAX, &data, &size, &error) < 0) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    LLVMFuzzerTestOneInput((const uint8_t *)data, size);
    free(data);
    replayed++;
}

static void replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        perror(path);
        exit(1);
    }
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (entry->d_name[0] == '.')
            continue;
        char *file = path_join(path, entry->d_name);
        replay_file(file);
        free(file);
    }
    closedir(folder);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct stat status;
        if (stat(argv[i], &status) == 0 && S_ISDIR(status.st_mode))
            replay_folder(argv[i]);
        else
            replay_file(argv[i]);
    }
    printf("%zu inputs\n", replayed);
    return replayed > 0 ? 0 : 1;
}
