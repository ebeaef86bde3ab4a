/* Attempts on the file system: what lies outside, what is read-only, what the kernel shows under /proc, /sys and /dev. */
#include "probe.h"
#include <dirent.h>
#include <sys/mount.h>

static int open_outside(const char *path) { return try_read(path); }

static int climb_out(const char *path) {
    for (int i = 0; i < 64; i++)
        if (chdir("..")) return errno;
    return try_read_at(AT_FDCWD, path + 1);
}

static int symlink_out(const char *path) {
    char link[64];
    snprintf(link, sizeof link, "/tmp/link-%d", getpid());
    if (symlink(path, link)) return errno;
    int problem = try_read(link);
    unlink(link);
    return problem;
}

/* Look for the outside through /proc/PID/DIRECTORY of every process that can be seen. */
static int through_proc(const char *directory, const char *path) {
    DIR *proc = opendir("/proc");
    if (!proc) return errno;
    int problem = ENOENT;
    for (struct dirent *entry; (entry = readdir(proc)) && problem;) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
        char name[512];
        snprintf(name, sizeof name, "/proc/%s/%s%s", entry->d_name, directory, path);
        problem = try_read(name);
    }
    closedir(proc);
    return problem;
}

static int proc_root(const char *path) { return through_proc("root", path); }
static int proc_cwd(const char *path) {
    char up[512];
    snprintf(up, sizeof up, "/../../../../../../../../..%s", path);
    return through_proc("cwd", up);
}

/* Every descriptor of every process: is one of them a directory of the outside? */
static int proc_fd(const char *path) {
    for (int pid = 1; pid < 64; pid++)
        for (int fd = 0; fd < 128; fd++) {
            char name[512];
            snprintf(name, sizeof name, "/proc/%d/fd/%d%s", pid, fd, path);
            if (try_read(name) == 0) return 0;
            snprintf(name, sizeof name, "/proc/%d/fd/%d/../../../../../../..%s", pid, fd, path);
            if (try_read(name) == 0) return 0;
        }
    return ENOENT;
}

static int stray_descriptor(const char *unused) {
    (void)unused;
    for (int fd = 3; fd < 65536; fd++)
        if (fcntl(fd, F_GETFD) >= 0) return 0;
    return EBADF;
}

static int handle_out(const char *unused) {
    (void)unused;
    struct { uint32_t bytes; int32_t type; uint32_t ino, gen; } handle = {8, 1, 2, 0};
    int root = open("/", O_RDONLY | O_DIRECTORY);
    int problem = reached(syscall(SYS_open_by_handle_at, root, &handle, O_RDONLY));
    return problem == ESTALE ? 0 : problem; /* the kernel has looked for it */
}

static int handle_name(const char *unused) {
    (void)unused;
    struct { uint32_t bytes; int32_t type; char data[128]; } handle = {128, 0, {0}};
    int mount_id;
    return refused(syscall(SYS_name_to_handle_at, AT_FDCWD, "/", &handle, &mount_id, 0));
}

static int remount_writable(const char *unused) {
    (void)unused;
    return refused(mount(NULL, "/usr", NULL, MS_REMOUNT | MS_BIND, NULL));
}

static int remount_root(const char *unused) {
    (void)unused;
    return refused(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
}

static int mount_tmpfs(const char *unused) {
    (void)unused;
    return refused(mount("tmpfs", "/tmp", "tmpfs", 0, NULL));
}

static int mount_proc(const char *unused) {
    (void)unused;
    return refused(mount("proc", "/tmp", "proc", 0, NULL));
}

static int bind_root(const char *unused) {
    (void)unused;
    return refused(mount("/", "/tmp", NULL, MS_BIND | MS_REC, NULL));
}

static int unmount_proc(const char *unused) {
    (void)unused;
    return refused(umount2("/proc", MNT_DETACH));
}

static int unmount_mask(const char *unused) {
    (void)unused;
    const char *const masks[] = {"/proc/kcore", "/proc/keys", "/proc/kallsyms"};
    int problem = ENOENT; /* which of them there are depends on the kernel */
    for (size_t i = 0; i < sizeof masks / sizeof *masks && (problem == ENOENT || problem == EINVAL); i++)
        problem = refused(umount2(masks[i], MNT_DETACH));
    return problem;
}

static int api_fsopen(const char *unused) { (void)unused; return refused(syscall(SYS_fsopen, "tmpfs", 0)); }
static int api_open_tree(const char *unused) { (void)unused; return refused(syscall(SYS_open_tree, AT_FDCWD, "/", 1)); }
static int api_move_mount(const char *unused) { (void)unused; return reached(syscall(SYS_move_mount, -1, "", -1, "", 4)); }
static int api_fspick(const char *unused) { (void)unused; return refused(syscall(SYS_fspick, AT_FDCWD, "/", 0)); }

static int api_mount_setattr(const char *unused) {
    (void)unused;
    struct { uint64_t set, clear, propagation, userns; } attributes = {0, 1, 0, 0};
    return refused(syscall(442, AT_FDCWD, "/usr", 0, &attributes, sizeof attributes));
}

static int pivot(const char *unused) { (void)unused; return reached(syscall(SYS_pivot_root, ".", ".")); }

static int double_chroot(const char *path) {
    mkdir("/tmp/jail", 0755);
    int out = open("/", O_RDONLY | O_DIRECTORY);
    if (chroot("/tmp/jail")) return errno;
    if (fchdir(out)) return errno;
    for (int i = 0; i < 64; i++)
        if (chdir("..")) return errno;
    return try_read_at(AT_FDCWD, path + 1);
}

static int write_open(const char *path) {
    int fd = open(path, O_WRONLY | O_APPEND);
    if (fd < 0) return errno;
    close(fd);
    return 0;
}

static int write_system(const char *unused) { (void)unused; return write_open("/usr/bin/env"); }
static int write_passwd(const char *unused) { (void)unused; return write_open("/etc/passwd"); }

static int create_at(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0) return errno;
    close(fd);
    unlink(path);
    return 0;
}

static int create_in_root(const char *unused) { (void)unused; return create_at("/planted"); }
static int create_in_usr(const char *unused) { (void)unused; return create_at("/usr/planted"); }
static int create_in_dev(const char *unused) { (void)unused; return create_at("/dev/planted"); }
static int create_outside(const char *path) { return create_at(path); }

/* A descriptor opened for reading must not become one for writing. */
static int reopen_writable(const char *unused) {
    (void)unused;
    int fd = open("/usr/bin/env", O_RDONLY);
    if (fd < 0) return errno;
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    return write_open(name);
}

static int link_out(const char *unused) {
    (void)unused;
    int problem = refused(link("/usr/bin/env", "/tmp/env"));
    return problem ? refused(link("/etc/passwd", "/tmp/passwd")) : 0;
}

static int make_device(const char *unused) {
    (void)unused;
    if (mknod("/tmp/mem", S_IFCHR | 0600, (1 << 8) | 1)) return errno;
    return try_read("/tmp/mem");
}

static int make_disk(const char *unused) {
    (void)unused;
    return refused(mknod("/tmp/disk", S_IFBLK | 0600, 254 << 8));
}

static int any_of(const char *const *paths, int writing) {
    int problem = ENOENT;
    for (; *paths && problem; paths++) problem = writing ? write_open(*paths) : try_read(*paths);
    return problem;
}

static int read_devices(const char *unused) {
    (void)unused;
    const char *const paths[] = {"/dev/mem", "/dev/kmem", "/dev/port", "/dev/kmsg", "/dev/vda", "/dev/sda", "/dev/nvme0n1",
                                 "/dev/fuse", "/dev/kvm", "/dev/net/tun", "/dev/loop-control", "/dev/uinput", NULL};
    return any_of(paths, 0);
}

static int write_kernel_settings(const char *unused) {
    (void)unused;
    const char *const paths[] = {"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger",
                                 "/proc/sys/vm/overcommit_memory", "/proc/sys/fs/binfmt_misc/register",
                                 "/sys/kernel/uevent_helper", "/proc/sys/kernel/hostname",
                                 "/proc/sys/user/max_user_namespaces", NULL}; /* the last one is root's in a container too */
    return any_of(paths, 1);
}

static int read_kernel_memory(const char *unused) {
    (void)unused;
    const char *const paths[] = {"/proc/kcore", "/proc/keys", "/proc/kallsyms", "/proc/timer_list", "/proc/vmallocinfo",
                                 "/proc/kpagecount", "/sys/kernel/debug/x", "/sys/firmware/dmi/tables/DMI", NULL};
    return any_of(paths, 0);
}

static int reach_cgroups(const char *unused) {
    (void)unused;
    const char *const paths[] = {"/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/cgroup.procs",
                                 "/sys/fs/cgroup/pids/tasks", "/sys/fs/cgroup/unified/cgroup.procs", NULL};
    return any_of(paths, 1);
}

/* In a project that the box may write to, a set-user-id file would run as the project's owner, who may be root. */
static int set_id_by_chmod(const char *unused) {
    (void)unused;
    int fd = open("/tmp/set-id", O_WRONLY | O_CREAT, 0700);
    if (fd < 0) return 0;
    close(fd);
    return chmod("/tmp/set-id", 04755) && syscall(452, AT_FDCWD, "/tmp/set-id", 04755, 0) && chmod("/tmp/set-id", 02755) ? errno : 0;
}

static int set_id_by_open(const char *unused) {
    (void)unused;
    int fd = open("/tmp/set-id-open", O_WRONLY | O_CREAT, 04755);
    if (fd < 0) fd = open("/tmp", O_WRONLY | O_TMPFILE, 04755);
    if (fd < 0) fd = creat("/tmp/set-id-creat", 04755);
    if (fd < 0) fd = mknod("/tmp/set-id-node", S_IFREG | 04755, 0);
    return fd < 0 ? errno : 0;
}

static int set_id_by_openat2(const char *unused) {
    (void)unused;
    uint64_t how[3] = {O_WRONLY | O_CREAT, 04755, 0};
    return refused(syscall(437, AT_FDCWD, "/tmp/set-id-openat2", how, sizeof how));
}

static int shadow(const char *unused) { (void)unused; return try_read("/etc/shadow"); }

const struct row file_attempts[] = {
    {"open-outside", open_outside}, {"climb-out", climb_out}, {"symlink-out", symlink_out}, {"proc-root", proc_root},
    {"proc-cwd", proc_cwd}, {"proc-fd", proc_fd}, {"stray-descriptor", stray_descriptor}, {"handle-out", handle_out},
    {"handle-name", handle_name}, {"remount-writable", remount_writable}, {"remount-root", remount_root},
    {"mount-tmpfs", mount_tmpfs}, {"mount-proc", mount_proc}, {"bind-root", bind_root}, {"unmount-proc", unmount_proc},
    {"unmount-mask", unmount_mask}, {"api-fsopen", api_fsopen}, {"api-open-tree", api_open_tree},
    {"api-move-mount", api_move_mount}, {"api-fspick", api_fspick}, {"api-mount-setattr", api_mount_setattr},
    {"pivot", pivot}, {"double-chroot", double_chroot}, {"write-system", write_system}, {"write-passwd", write_passwd},
    {"create-in-root", create_in_root}, {"create-in-usr", create_in_usr}, {"create-in-dev", create_in_dev},
    {"create-outside", create_outside}, {"reopen-writable", reopen_writable}, {"link-out", link_out},
    {"make-device", make_device}, {"make-disk", make_disk}, {"read-devices", read_devices},
    {"write-kernel-settings", write_kernel_settings}, {"read-kernel-memory", read_kernel_memory},
    {"reach-cgroups", reach_cgroups}, {"shadow", shadow},
    {"set-id-by-chmod", set_id_by_chmod}, {"set-id-by-open", set_id_by_open}, {"set-id-by-openat2", set_id_by_openat2},
    {NULL, NULL},
};
