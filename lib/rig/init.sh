# The guest's first process. It runs on the host's own root file system, mounted read-only over 9p, so it uses only
# what every Debian has (dash, coreutils, util-linux, mount); nothing is installed in the guest. Programs start slowly
# under emulation: there are as few as can be.
#
# usage: sh init.sh <directory with job.sh>
#
# It puts a throw-away overlay over the host's root, mounts what a privileged test needs, runs the job, reports its exit
# code on the control port and powers the machine off. Lines on the control port:
#   ready                     guest to host: the job starts now
#   exit <code>               guest to host: the job ended; everything it wrote has been delivered
#   size <rows> <columns>     host to guest: the terminal's size, at first and when it changes
# Should it fail, the kernel panics for want of a first process, and that is reported with the console's text.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

# The overlay's upper half lives in a tmpfs that nobody can see afterwards. /dev is one file system, however often it is
# mounted: what is made in it here will be there.
mount -t tmpfs -o mode=0755 rig /run
mkdir /run/upper /run/work /run/root /dev/shm /dev/pts /dev/hugepages
mount -t overlay -o lowerdir=/,upperdir=/run/upper,workdir=/run/work overlay /run/root
cd /run/root || exit 1
pivot_root . mnt
# /proc goes first: until then the host's own shows through, and mount(8) would believe it.
mount -t proc proc /proc
mount -a -T "$1/fstab"

# What nobody waits for until the job starts.
(
  umount -l /mnt
  ln -s /proc/self/fd /dev/fd
  ln -s /proc/self/fd/0 /dev/stdin
  ln -s /proc/self/fd/1 /dev/stdout
  ln -s /proc/self/fd/2 /dev/stderr
  ip link set lo up || perl -e 'socket(S,2,2,0); ioctl(S,0x8914,pack("a16s@40","lo",0x41))'
) &
rest=$!

port() {
  for entry in /sys/class/virtio-ports/*; do
    [ -e "$entry/name" ] || continue
    read -r name <"$entry/name"
    [ "$name" = "vfio-rig.$1" ] && { port=/dev/${entry##*/}; [ -c "$port" ] && return; }
  done
  # Ports are announced one by one, a moment after the controller was found.
  sleep 0.05
  port "$1"
}

mkfifo /run/rig.in /run/rig.out /run/rig.err /run/rig.never
port control; exec 9<>"$port"
off() {
  echo o >/proc/sysrq-trigger
  # Programs cannot be started any more, and the first process must not end: read what nobody writes.
  read -r _ <>/run/rig.never
}
(
  while read -r _ rows columns <&9; do stty rows "$rows" cols "$columns" </dev/hvc0; done
  # The host closed the control port: nobody listens any more.
  off
) &

. "$1/job.sh"

if [ -n "$RIG_INTERACTIVE" ]; then
  # A terminal of its own: job control and Ctrl-C work in the guest.
  wait "$rest"
  echo ready >&9
  setsid -c -w sh -c '. "$1/job.sh"; rig_interactive' sh "$1" <>/dev/hvc0 >&0 2>&1
  echo "exit $?" >&9
  off
fi

# The job gets ordinary pipes, which, unlike a port, can be opened again as /dev/stdout and never block a reader for good.
port stdin; cat <"$port" >/run/rig.in 2>/dev/null &
port stdout; cat </run/rig.out >"$port" & out=$!
port stderr; cat </run/rig.err >"$port" & err=$!
wait "$rest"
echo ready >&9
(exec 9>&-; rig_job) </run/rig.in >/run/rig.out 2>/run/rig.err
code=$?

# What the job left running would hold its output open: the job is over, so they are.
for process in /proc/[0-9]*; do
  pid=${process#/proc/}
  case $pid in 1 | "$out" | "$err") continue ;; esac
  [ -e "$process/exe" ] && kill -9 "$pid" 2>/dev/null
done
wait "$out" "$err"
echo "exit $code" >&9
off
