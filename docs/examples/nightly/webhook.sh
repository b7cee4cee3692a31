#!/bin/sh
# Sends the result of `imagebuild nightly` to an incoming webhook of Slack, Mattermost or Rocket.Chat, with curl.
#
#     hooks:
#       failure: hooks/webhook.sh hooks/webhook.curl
#
# The argument is a file of curl's options, so that the address, which is a secret, is in no command line and not in
# imagebuild.yaml. It has one line:
#
#     url = "https://chat.example.org/hooks/..."
set -eu

message=$(python3 -c '
import json, sys

result = json.load(sys.stdin)
text = [f"images: {result['\''outcome'\'']}"]
text += [f"{image} has a new version" for image in result["changed"]]
for image in [*result["images"], {"image": "run", "stages": result["stages"]}]:
    for stage in image["stages"]:
        if stage["status"] == "failed":
            text.append(f"{image['\''image'\'']}: {stage['\''stage'\'']} failed: {stage['\''message'\'']}")
print(json.dumps({"text": "\n".join(text)}))
')
printf '%s' "$message" | curl --config "$1" --fail --silent --show-error --max-time 30 \
    --header 'Content-Type: application/json' --data-binary @-
