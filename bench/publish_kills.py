"""Kills publishers at random instants, and looks at the hosts after each.

    python -m bench.publish_kills FOLDER [COUNT]

Two libvirt hosts of the test fleet (root is needed). A new version is on its way to both all the time:
with the agent in odd rounds, over libvirt's streams in even ones. After each SIGKILL, each host's
record must name the old or the new version, and all files that it names must have their bytes, as
sha256sum says on the host. FOLDER is made, and is not removed.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from tests.publish.fleet import fleet
from tests.publish.publisher import Publisher, number, record, wrong_files


def main(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    (folder / "fleet").mkdir()
    chance = random.Random(50)
    wrong = killed = switched = 0
    with fleet(2, folder=folder / "fleet") as hosts:
        project = Publisher(folder, hosts)
        project.artifact(1, mib=24)
        begin = time.monotonic()
        assert project.run("publish", "web", "--to", "all").code == 0
        whole = time.monotonic() - begin
        version = 1
        for turn in range(1, count + 1):
            if all(number(record(host).current) == str(version) for host in hosts):  # type: ignore[union-attr]
                version += 1
                project.artifact(version, mib=24)
            Publisher(folder, hosts, shell="true" if turn % 2 else "false")
            delay = chance.uniform(0.1, whole)
            alive = project.kill_after(delay, "publish", "web", "--to", "all")
            killed += alive
            seen = []
            for host in hosts:
                found = record(host)
                bad = wrong_files(host)
                current = number(found.current) if found else "none"
                switched += current == str(version)
                wrong += bool(bad) or current not in (str(version - 1), str(version))
                seen.append(f"{current}{' WRONG ' + ' '.join(bad) if bad else ''}")
            print(f"{turn:3} after {delay:4.1f} s, {'killed' if alive else 'ended '}: {', '.join(seen)}", flush=True)
        last = project.run("publish", "web", "--to", "all")
        print(
            f"{killed} of {count} killed at work, {switched} of {2 * count} hosts had the new version; wrong: {wrong}"
        )
        print(f"the last publish ended with {last.code}: {[one['status'] for one in last.targets.values()]}")
    sys.exit(1 if wrong or last.code else 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 50)
