#include "probe.h"

int try_read_at(int directory, const char *path) {
    char byte;
    int fd = openat(directory, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return errno;
    ssize_t got = read(fd, &byte, 1);
    int problem = got < 0 ? errno : got == 0 ? ENODATA : 0;
    close(fd);
    return problem;
}

int try_read(const char *path) { return try_read_at(AT_FDCWD, path); }

static attempt *find(const char *name) {
    const struct row *tables[] = {file_attempts, process_attempts, kernel_attempts, channel_attempts, twins};
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct row *row = tables[t]; row->name; row++)
            if (strcmp(row->name, name) == 0) return row->run;
    return NULL;
}

/* Make one attempt and say what came of it. */
static void say(const char *name, const char *argument, attempt *run) {
    int problem = run(argument);
    int is_twin = strncmp(name, "twin-", 5) == 0;
    if (is_twin) printf(problem ? "twin failed %s\n" : "twin ok\n", strerrorname_np(problem));
    else if (problem) printf("held %s\n", strerrorname_np(problem));
    else printf("breached\n");
    fflush(stdout);
}

/* Many attempts in one box, each in a child of its own; its line begins with its name. */
static int run_each(int count, char **words) {
    for (int at = 0; at + 1 < count; at += 2) {
        attempt *run = find(words[at]);
        if (!run) return 2;
        pid_t pid = fork();
        if (pid < 0) return 3;
        if (pid == 0) {
            alarm(10);
            printf("%s ", words[at]); /* what has not been flushed when it is killed is lost */
            say(words[at], words[at + 1], run);
            _exit(0);
        }
        int status;
        if (waitpid(pid, &status, 0) < 0) return 3;
        if (WIFSIGNALED(status)) printf("%s killed %s\n", words[at], sigabbrev_np(WTERMSIG(status)));
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    if (strcmp(argv[1], "each") == 0) return run_each(argc - 2, argv + 2);
    attempt *run = find(argv[1]);
    if (!run) {
        fprintf(stderr, "probe: no attempt is named %s\n", argv[1]);
        return 2;
    }
    say(argv[1], argc > 2 ? argv[2] : "", run);
    return 0;
}
