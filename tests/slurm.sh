#!/usr/bin/env bash
# `make test-slurm`: the cluster path against a real slurmctld and slurmd on this one machine (Debian packages slurm-wlm and munge; needs root).
# A whole smoke reproduction, a failing job, an interrupted driver and a killed driver. Ends with `N passed, N failed`.
set -u
cd "$(dirname "$0")/.."
passed=0; failed=0
check() { if [ "$2" -eq 0 ]; then passed=$((passed + 1)); echo "ok      $1"; else failed=$((failed + 1)); echo "FAILED  $1"; fi; }
cannot() { echo "the Slurm test cannot run here: $1"; echo "0 passed, 0 failed, 4 skipped"; exit 0; }

[ "$(id -u)" -eq 0 ] || cannot "it starts slurmctld and slurmd and needs root"
if ! command -v slurmctld > /dev/null || ! command -v slurmd > /dev/null || ! command -v munged > /dev/null; then
  (apt-get update && apt-get install -y --no-install-recommends slurm-wlm munge) > /tmp/icckd-slurm-install.log 2>&1 || cannot "slurm-wlm and munge could not be installed (see /tmp/icckd-slurm-install.log)"
fi

conf=/etc/slurm/slurm.conf  # where the tools of a running job look; SLURM_CONF does not reach them
if [ -e "$conf" ] && ! grep -q "^ClusterName=icckd-trial" "$conf"; then cannot "$conf belongs to another Slurm"; fi
state=$(mktemp -d); host=$(hostname); cores=$(nproc); pids=()
stop() {
  scancel --user root > /dev/null 2>&1; sleep 1
  for pid in "${pids[@]}"; do kill -TERM "$pid" 2> /dev/null; done; wait 2> /dev/null; rm -rf "$state" "$conf"
}
trap stop EXIT
mkdir -p /run/munge /var/log/munge /etc/slurm "$state/state" "$state/spool"
chown -R munge: /run/munge /var/log/munge /etc/munge 2> /dev/null; chmod 755 /run/munge
[ -f /etc/munge/munge.key ] || (dd if=/dev/urandom bs=1 count=1024 of=/etc/munge/munge.key 2> /dev/null; chown munge: /etc/munge/munge.key; chmod 400 /etc/munge/munge.key)
cat > "$conf" << CONF
ClusterName=icckd-trial
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=$state/state
SlurmdSpoolDir=$state/spool
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.pid
SlurmctldLogFile=$state/slurmctld.log
SlurmdLogFile=$state/slurmd.log
SlurmctldPort=6817
SlurmdPort=6818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1000
MinJobAge=300
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores Boards=1 SocketsPerBoard=1 CoresPerSocket=$cores ThreadsPerCore=1 RealMemory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.8)}' /proc/meminfo) State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
if ! munge -n 2> /dev/null | unmunge > /dev/null 2>&1; then setpriv --reuid munge --regid munge --clear-groups munged --foreground & pids+=($!); sleep 2; fi
munge -n | unmunge > /dev/null 2>&1 || cannot "munged does not answer"
slurmctld -D -f "$conf" > /dev/null 2>&1 & pids+=($!)
slurmd -D -f "$conf" -N "$host" > /dev/null 2>&1 & pids+=($!)
for _ in $(seq 30); do sinfo -h -o %t 2> /dev/null | grep -q idle && break; sleep 1; done
sinfo -h -o %t 2> /dev/null | grep -q idle || cannot "the node did not become idle (see slurmctld.log and slurmd.log): $(tail -n 3 "$state/slurmctld.log" 2> /dev/null)"

export SLURM_OPTIONS="--slurm-no-account --slurm-status-command squeue --slurm-init-seconds-before-status-checks 3 --default-resources slurm_partition=main mem_mb=4000 runtime=30"
results="$state/results"
reproduce() { make --no-print-directory reproduce PROFILE=smoke EXECUTOR=slurm RESULTS="$1" METHODS="${2:-none kd cwd}"; }
count() { ls "$1"/smoke/records/*.json 2> /dev/null | wc -l; }

reproduce "$results/whole" > "$state/whole.log" 2>&1; check "a whole smoke reproduction" $?
[ "$(count "$results/whole")" -eq 6 ]; check "its six records are there" $?

# A job whose data is missing.
ICCKD_DATA=/nonexistent make --no-print-directory reproduce PROFILE=short EXECUTOR=slurm RESULTS="$results/failing" > "$state/failing.log" 2>&1
[ $? -ne 0 ] && grep -q "is missing" "$state/failing.log"; check "a failing job ends the batch with its sentence" $?

reproduce "$results/interrupted" > "$state/interrupted.log" 2>&1 & driver=$!
for _ in $(seq 60); do squeue -h | grep -q . && break; sleep 1; done
pkill -INT -f "snakemake.*$results/interrupted"; wait "$driver"
sleep 5; [ -z "$(squeue -h -t running,pending)" ]; check "an interrupted driver takes its jobs with it" $?
reproduce "$results/interrupted" > "$state/interrupted2.log" 2>&1 && [ "$(count "$results/interrupted")" -eq 6 ]; check "and the next one finishes" $?

reproduce "$results/killed" > "$state/killed.log" 2>&1 & driver=$!
for _ in $(seq 60); do squeue -h | grep -q . && break; sleep 1; done
pkill -KILL -f "snakemake.*$results/killed"; wait "$driver" 2> /dev/null
for _ in $(seq 24); do  # what the killed driver had started may hold the lock a little longer; then the next one says so and ends
  reproduce "$results/killed" > "$state/killed2.log" 2>&1 || ! grep -q "another run is at work" "$state/killed2.log" || { sleep 5; continue; }
  break
done
[ "$(count "$results/killed")" -eq 6 ]; check "after a killed driver, jobs that still run are waited for and nothing is trained twice" $?

[ "$failed" -eq 0 ] || tail -n 20 "$state"/*.log
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
