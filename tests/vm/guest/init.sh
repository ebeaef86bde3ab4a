#!/bin/busybox sh
# The first program in the VM: loads what finds the root, mounts it as it was built, and becomes pid 1 of it.
# The root stays read-only until a job starts: a saved machine must not remember writes to a disk that is not saved with it.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
exec < /dev/console > /dev/console 2>&1
for module in /modules/*; do insmod "$module" || echo "init: $module"; done
mount -t ext4 -o ro,noatime /dev/vda /root || exec sh
mount -t ext4 -o ro,noatime /dev/vdb /root/usr/lib/modules
mount -t tmpfs -o mode=755 run /root/run
mkdir /root/run/vm
cp /guest/machine.py /root/run/vm/
mount --move /dev /root/dev
exec switch_root /root /usr/bin/python3 -I -S /run/vm/machine.py
