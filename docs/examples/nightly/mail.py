#!/usr/bin/python3
"""Mails the result of `imagebuild nightly` with sendmail(8), which postfix, exim, msmtp and others provide.

    hooks:
      failure: hooks/mail.py ops@example.org
      changed: hooks/mail.py ops@example.org team@example.org

The result is attached as nightly.json.
"""

import json
import subprocess
import sys
from email.message import EmailMessage


def lines(result):
    for image in result["images"]:
        failed = [stage for stage in image["stages"] if stage["status"] == "failed"]
        if image["image"] in result["changed"]:
            yield f"{image['image']}: new version {image['good']}"
            yield from (f"    {difference}" for difference in image["differences"])
        for stage in failed:
            yield f"{image['image']}: {stage['stage']} failed: {stage['message']}"
            yield from (f"    {detail}" for detail in stage["details"])
    for stage in result["stages"]:
        if stage["status"] == "failed":
            yield f"{stage['stage']} failed: {stage['message']}"


def main(recipients):
    result = json.load(sys.stdin)
    what = f"failed: {', '.join(result['failed'])}" if result["failed"] else result["outcome"]
    message = EmailMessage()
    message["To"] = ", ".join(recipients)
    message["Subject"] = f"images: {what}"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join(lines(result)) + "\n")
    message.add_attachment(json.dumps(result, indent=1), filename="nightly.json", subtype="json")
    return subprocess.run(["sendmail", "-t", "-oi"], input=message.as_bytes(), check=False).returncode  # noqa: S607


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
