/* Linked dynamically: says which C library the image has, as the last argument of the program in its other arguments. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

int main(int argc, char **argv) {
    char *words[32] = {0}, name[64] = "musl";
    if (argc < 2 || argc > 30)
        return 2;
#ifdef __GLIBC__
    snprintf(name, sizeof name, "glibc %s", gnu_get_libc_version());
#endif
    memcpy(words, argv + 1, (argc - 1) * sizeof *words);
    words[argc - 1] = name;
    execv(words[0], words);
    perror(words[0]);
    return 1;
}
