#!/usr/bin/env bash
# Times avweld against other programs on media that it makes itself, and prints Markdown for BENCHMARKS.md, where the
# method stands, and why it is fair.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: benches/compare.sh [OPTION]...

  --case NAME     what to measure; may be repeated [default: all but ten]
  --runs N        runs of each program, of which the median counts [default: 5]
  --avweld PATH   the program to measure [default: target/release/avweld]
  --dir DIR       where inputs are made, and kept, and outputs written [default: compare in the temporary folder]
  --sync          bring the others' outputs to disk as well, as avweld does
  --no-fsync      or leave that of avweld to the system too, as the others do
  --small         a tenth of the input, to try the script
  --list          the cases
  -h, --help      this

Needs ffmpeg with libx264, ffprobe and python3; mkvmerge, nginx and yt-dlp for the cases that are about them.
USAGE
}

CASES=(ts mkv small segments fmp4 http faststart startup ten)
describe() {
    cat <<'DESCRIBE'
ts         1 GB of MPEG-TS in 270 segments, to MP4 with moov in front: ffmpeg concat, ffmpeg by the playlist, cat
mkv        the same to Matroska: mkvmerge, ffmpeg by the playlist
small      64 merges of three segments, as many at once as there are cores: xargs ffmpeg
segments   5000 segments of 40 KB: 1000 of them
fmp4       156 segments of fragmented MP4 with separate audio: ffmpeg by the master playlist
http       the 1 GB from nginx on loopback: ffmpeg, yt-dlp
faststart  the 1 GB with moov in front: behind
startup    avweld --version: ffmpeg -version
ten        the 1 GB listed ten times: once (needs 12 GB of disk)
DESCRIBE
}

say() { printf '%s\n' "$*" >&2; }
die() { say "compare.sh: $*"; exit 1; }
has() { command -v "$1" >/dev/null; }

here=$(cd "$(dirname "$0")" && pwd)
chosen=() runs=5 avweld=$here/../target/release/avweld dir=${TMPDIR:-/tmp}/compare sync=false fsync= small=false
while (($#)); do
    case $1 in
        --case) chosen+=("${2:?--case needs a name}"); shift ;;
        --runs) runs=${2:?--runs needs a number}; shift ;;
        --avweld) avweld=${2:?--avweld needs a path}; shift ;;
        --dir) dir=${2:?--dir needs a folder}; shift ;;
        --sync) sync=true ;;
        --no-fsync) fsync=--no-fsync ;;
        --small) small=true ;;
        --list) describe; exit ;;
        -h | --help) usage; exit ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
((${#chosen[@]})) || chosen=("${CASES[@]:0:${#CASES[@]}-1}")
for name in "${chosen[@]}"; do
    [[ " ${CASES[*]} " == *" $name "* ]] || die "no case is called $name; --list tells them"
done
[[ $runs =~ ^[1-9][0-9]*$ ]] || die "--runs takes a number from 1 on"
[[ -x $avweld ]] || die "$avweld is not there; build it with 'cargo build --release' or name another by --avweld"
for tool in ffmpeg ffprobe python3; do has "$tool" || die "$tool is needed and not there"; done
avweld=$(realpath "$avweld")
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
cores=$(nproc)
scale=1
if $small; then scale=10; fi
in=$dir/in-$scale out=$dir/out
mkdir -p "$in" "$out"

nginx_pid=
end() {
    if [[ -n $nginx_pid ]]; then
        kill "$nginx_pid" 2>/dev/null || true
        wait "$nginx_pid" 2>/dev/null || true
    fi
    rm -rf "$out" "$dir/measure.py"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- inputs: made once, under a name that stands for a whole one only

ff() { ffmpeg -hide_banner -loglevel error -nostdin -y "$@"; }

# A minute of moving pictures with noise, at this size and bit rate, a key frame every second, and of sound.
minute() {
    local file=$1 size=$2 rate=$3
    [[ -e $file ]] && return
    say "encoding $(basename "$file")"
    ff -f lavfi -i "testsrc2=size=$size:rate=25,noise=alls=12:allf=t" -f lavfi -i "anoisesrc=amplitude=0.2:sample_rate=48000" \
        -t 60 -c:v libx264 -preset veryfast -b:v "$rate" -maxrate "$rate" -bufsize "$rate" -g 25 -keyint_min 25 -sc_threshold 0 \
        -pix_fmt yuv420p -c:a aac -b:a 128k "$file.part.mp4"
    mv "$file.part.mp4" "$file"
}

# Segments of the minute in $2, of $3 seconds, for $4 seconds, in the folder $1.
segments() {
    local folder=$1 source=$2 each=$3 total=$4
    [[ -d $folder ]] && return
    say "cutting $(basename "$folder")"
    rm -rf "$folder.part"
    mkdir -p "$folder.part"
    ff -stream_loop $((total / 60 + 1)) -i "$source" -t "$total" -c copy -f hls -hls_time "$each" -hls_playlist_type vod \
        -hls_segment_filename "$folder.part/%05d.ts" "$folder.part/index.m3u8"
    mv "$folder.part" "$folder"
}

make_ts() {
    minute "$in/5m.mp4" 1280x720 4900k
    segments "$in/ts" "$in/5m.mp4" 6 $((1620 / scale))
    (cd "$in/ts" && printf "file '%s'\n" ./*.ts >concat.txt)
}

# A playlist of some of the segments of another: from the n-th on, so many.
excerpt() {
    local playlist=$1 from=$2 count=$3
    awk -v from="$from" -v count="$count" '
        /^#EXTINF/ { extinf = $0; next }
        /^#EXT-X-ENDLIST/ { next }
        /^#/ { print; next }
        n++ >= from && n <= from + count { print extinf; print }
        END { print "#EXT-X-ENDLIST" }' "$playlist"
}

make_fmp4() {
    make_ts
    [[ -d $in/fmp4 ]] && return
    say "cutting fmp4"
    rm -rf "$in/fmp4.part"
    mkdir -p "$in/fmp4.part"
    (cd "$in/fmp4.part" && ff -stream_loop $((936 / scale / 60 + 1)) -i "$in/5m.mp4" -t $((936 / scale)) -map 0:v -map 0:a -c copy \
        -f hls -hls_time 6 -hls_playlist_type vod -hls_segment_type fmp4 -hls_fmp4_init_filename 'init_%v.mp4' \
        -hls_segment_filename '%v_%05d.m4s' -master_pl_name master.m3u8 \
        -var_stream_map 'v:0,agroup:sound,name:video a:0,agroup:sound,default:yes,name:audio' '%v.m3u8')
    mv "$in/fmp4.part" "$in/fmp4"
}

# --- the clock: wall time, and the kernel's account of the process and of all that it waited for

cat >"$dir/measure.py" <<'PYTHON'
import json, os, statistics, subprocess, sys, time

def run(command, log):
    started = time.monotonic()
    child = subprocess.Popen(["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"compare.sh: exit code {child.returncode} of: {command}\n{open(log.name, errors='replace').read()[-2000:]}")
    return wall, usage.ru_utime, usage.ru_stime, usage.ru_maxrss / 1024

def clear(folder):
    for root, _, files in os.walk(folder):
        for name in files:
            os.unlink(os.path.join(root, name))
    # What one left for the system to write must not be a burden for the next.
    os.sync()

def packets(folder):
    total = 0
    media = [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith((".mp4", ".mkv", ".ts"))]
    for file in media:
        probe = ["ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "json", file]
        streams = json.loads(subprocess.run(probe, capture_output=True, check=True).stdout)["streams"]
        total += sum(int(stream.get("nb_read_packets", 0)) for stream in streams)
    return total if media else "-"

out, runs, *rest = sys.argv[1:]
contenders = [rest[n:n + 3] for n in range(0, len(rest), 3)]
taken = {name: [] for name, _, _ in contenders}
counted, log_path = {}, os.path.join(os.path.dirname(out), "log.txt")
for number in range(-1, int(runs)):
    # Each begins in turn, so that none has always the same one before it. The first round only warms up.
    turn = number % len(contenders)
    for name, command, _ in contenders[turn:] + contenders[:turn]:
        clear(out)
        with open(log_path, "w") as log:
            figures = run(command, log)
        if number < 0:
            counted[name] = packets(out)
        else:
            taken[name].append(figures)
        print(f"  {name}: {figures[0]:.3f} s", file=sys.stderr)
clear(out)
os.unlink(log_path)
middle = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in taken.items()}
ours = middle[contenders[0][0]]
for name, _, aim in contenders:
    wall, user, system, memory = middle[name]
    walls = [row[0] for row in taken[name]]
    ratios = "1 | 1" if name == contenders[0][0] else f"{ours[0] / wall:.2f} | {(ours[1] + ours[2]) / max(user + system, 1e-9):.2f}"
    print(f"| {name} | {wall:.3f} | {min(walls):.3f}-{max(walls):.3f} | {user:.2f} | {system:.2f} | {memory:.0f} | {counted[name]} | {ratios} | {aim} |")
PYTHON

contenders=()
# A contender: its name, its command, and what is aimed at for the first one's figures divided by its own.
enter() { contenders+=("$1" "$2" "${3:-}"); }
# The same for a program that leaves its output to the system's cache.
other() {
    local command=$2
    if $sync; then command+=" && find $(quote "$out") -type f -exec sync {} +"; fi
    enter "$1" "$command" "${3:-}"
}
quote() { printf '%q' "$1"; }
race() {
    printf '\n### %s\n\n' "$1"
    printf '| | wall s | min-max | user s | system s | peak MiB | packets | wall: first / this | CPU: first / this | aim |\n'
    printf '|---|---|---|---|---|---|---|---|---|---|\n'
    say "$1"
    python3 "$dir/measure.py" "$out" "$runs" "${contenders[@]}"
    contenders=()
}

q_av=$(quote "$avweld") q_in=$(quote "$in") q_out=$(quote "$out")
merge="$q_av merge -q --config '' --temp-dir $q_out $fsync"
ffmpeg="ffmpeg -hide_banner -loglevel error -nostdin -y -allowed_extensions ALL"

case_ts() {
    make_ts
    enter avweld "$merge $q_in/ts/index.m3u8 -o $q_out/a.mp4" 'peak <= 64 MiB'
    other 'ffmpeg concat' "ffmpeg -hide_banner -loglevel error -nostdin -y -f concat -safe 0 -i $q_in/ts/concat.txt -c copy -movflags +faststart $q_out/a.mp4" 'wall <= 0.30, CPU <= 0.35'
    other 'ffmpeg playlist' "$ffmpeg -i $q_in/ts/index.m3u8 -c copy -movflags +faststart $q_out/a.mp4" 'wall <= 0.70'
    other cat "cat $q_in/ts/*.ts > $q_out/a.ts" 'wall <= 1.75'
    race 'MPEG-TS to MP4, moov in front'
}

case_mkv() {
    make_ts
    enter avweld "$merge $q_in/ts/index.m3u8 -o $q_out/a.mkv"
    if has mkvmerge; then
        # The segments appended, as mkvmerge takes no playlist: [ a b c ] reads them as one file.
        other mkvmerge "mkvmerge -q -o $q_out/a.mkv '[' $q_in/ts/*.ts ']'"
    fi
    other 'ffmpeg playlist' "$ffmpeg -i $q_in/ts/index.m3u8 -c copy $q_out/a.mkv"
    race 'MPEG-TS to Matroska'
}

case_small() {
    make_ts
    local n count list=$in/ts/small.txt
    count=$(grep -c '^#EXTINF' "$in/ts/index.m3u8")
    for n in {0..63}; do
        excerpt "$in/ts/index.m3u8" $((n * 3 % (count - 2))) 3 >"$in/ts/small-$n.m3u8"
        printf '%s/ts/small-%s.m3u8 small-%s\n' "$in" "$n" "$n"
    done >"$list"
    enter avweld "$q_av batch -q --config '' --temp-dir $q_out $fsync --output-dir $q_out -j $cores $(quote "$list")"
    other "xargs -P$cores ffmpeg" "seq 0 63 | xargs -P$cores -I{} $ffmpeg -i $q_in/ts/small-{}.m3u8 -c copy -movflags +faststart $q_out/{}.mp4" 'wall <= 0.30'
    race '64 merges of three segments'
}

case_segments() {
    local many=$((5000 / scale)) few=$((1000 / scale))
    minute "$in/200k.mp4" 320x180 170k
    segments "$in/tiny" "$in/200k.mp4" 1 "$many"
    excerpt "$in/tiny/index.m3u8" 0 "$few" >"$in/tiny/few.m3u8"
    enter "avweld, $many segments" "$merge $q_in/tiny/index.m3u8 -o $q_out/a.mp4"
    enter "avweld, $few segments" "$merge $q_in/tiny/few.m3u8 -o $q_out/a.mp4" 'wall <= 5.5'
    race "$many small segments against $few"
}

case_fmp4() {
    make_fmp4
    enter avweld "$merge $q_in/fmp4/master.m3u8 -o $q_out/a.mp4"
    other 'ffmpeg playlist' "$ffmpeg -i $q_in/fmp4/master.m3u8 -c copy $q_out/a.mp4" 'wall <= 0.5'
    race 'Fragmented MP4 with separate audio'
}

case_http() {
    local nginx port url tail
    nginx=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v nginx) || { say 'http: left out, nginx is not there'; return; }
    make_ts
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    mkdir -p "$dir/nginx"
    cat >"$dir/nginx/nginx.conf" <<NGINX
daemon off; master_process off; pid nginx.pid; error_log error.log;
events { worker_connections 256; }
http {
    client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
    types { application/vnd.apple.mpegurl m3u8; video/mp2t ts; }
    sendfile on; log_format ends '\$msec'; access_log access.log ends;
    server { listen 127.0.0.1:$port; root "$in/ts"; }
}
NGINX
    "$nginx" -p "$dir/nginx" -e error.log -c "$dir/nginx/nginx.conf" &
    nginx_pid=$!
    url=http://127.0.0.1:$port/index.m3u8
    python3 - "$port" <<'PYTHON'
import socket, sys, time
for _ in range(200):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
        break
    except OSError:
        time.sleep(0.05)
else:
    sys.exit("compare.sh: nginx does not listen")
PYTHON
    export no_proxy=127.0.0.1
    enter avweld "$merge $url -o $q_out/a.mp4"
    enter 'avweld --no-resume' "$merge --no-resume $url -o $q_out/a.mp4"
    other 'ffmpeg playlist' "$ffmpeg -i $url -c copy -movflags +faststart $q_out/a.mp4" 'wall <= 1.0'
    if has yt-dlp; then other 'yt-dlp -N 8' "yt-dlp --ignore-config -q -N 8 -o $q_out/a.mp4 $url"; fi
    race 'By HTTP from nginx on loopback'
    # When nginx had sent the last segment against when the file was there.
    tail=$(for ((n = 0; n < runs; n++)); do
        rm -f "$out/a.mp4"
        sync
        begun=$(date +%s.%N)
        bash -c "$merge $url -o $q_out/a.mp4" </dev/null
        # A rename is the last change of a file.
        printf '%s %s %s %s\n' "$begun" "$(tail -n 1 "$dir/nginx/access.log")" "$(stat -c %.6Z "$out/a.mp4")" "$(date +%s.%N)"
    done | python3 -c '
import statistics, sys
rows = [[float(word) for word in line.split()] for line in sys.stdin]
tail = lambda n: statistics.median((row[n] - row[1]) / (row[n] - row[0]) for row in rows)
print(f"{tail(2):.1%} of the whole, to the end of the program {tail(3):.1%}")')
    printf '\nFrom the last byte sent to the file in its place: %s (medians of %s; aim: <= 10 %%).\n' "$tail" "$runs"
    kill "$nginx_pid"
    wait "$nginx_pid" 2>/dev/null || true
    nginx_pid=
    rm -rf "$dir/nginx"
}

case_faststart() {
    make_ts
    enter 'moov in front' "$merge $q_in/ts/index.m3u8 -o $q_out/a.mp4"
    enter 'moov behind' "$merge --no-faststart $q_in/ts/index.m3u8 -o $q_out/a.mp4" 'wall <= 1.05'
    race 'moov in front against behind'
}

case_startup() {
    enter 'avweld --version' "exec $q_av --version" 'wall <= 0.010 s'
    enter 'ffmpeg -version' 'exec ffmpeg -version'
    enter 'the clock itself' 'exec true'
    race 'Start-up'
}

case_ten() {
    local n playlist=$in/ts/ten.m3u8
    make_ts
    {
        grep -v -e '^#EXT-X-ENDLIST' "$in/ts/index.m3u8"
        for n in {2..10}; do
            echo '#EXT-X-DISCONTINUITY'
            grep -e '^#EXTINF' -e '^[^#]' "$in/ts/index.m3u8"
        done
        echo '#EXT-X-ENDLIST'
    } >"$playlist"
    enter 'avweld, ten times' "$merge $(quote "$playlist") -o $q_out/a.mp4" 'peak <= 96 MiB'
    enter 'avweld, once' "$merge $q_in/ts/index.m3u8 -o $q_out/a.mp4" 'wall <= 10.5'
    race 'The same listed ten times'
}

# --- the machine, then the cases

cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
memory=$(awk '/^MemTotal/ { printf "%.1f", $2 / 1048576 }' /proc/meminfo)
printf '## %s\n\n' "$(date -u +%F)"
printf -- '- %s, %s cores, %s GiB, Linux %s, %s\n' "${cpu:-unknown}" "$cores" "$memory" "$(uname -r)" "$(stat -f -c %T "$dir")"
printf -- '- load at the start: %s\n' "$(cut -d' ' -f1-3 /proc/loadavg)"
printf -- '- %s\n' "$("$avweld" --version | paste -sd';' | sed 's/;/, /g')"
printf -- '- %s\n' "$(ffmpeg -version | head -n 1 | sed 's/ Copyright.*//')"
if has mkvmerge; then printf -- '- %s\n' "$(mkvmerge --version)"; fi
if has yt-dlp; then printf -- '- yt-dlp %s\n' "$(yt-dlp --version)"; fi
printf -- '- medians of %s, outputs of avweld %s, those of others %s\n' "$runs" \
    "$([[ -n $fsync ]] && echo 'left in the page cache' || echo 'brought to disk')" "$($sync && echo 'brought to disk too' || echo 'left in the page cache')"
if $small; then printf -- '- a tenth of the input: no figures to go by\n'; fi
for name in "${chosen[@]}"; do "case_$name"; done
