#!/bin/sh
# Installs what the web page's tests drive a browser with (playwright-core and
# axe-core, from npm) under tests/web/node_modules. The browser itself is the
# system's: /usr/bin/chromium, on Debian `apt-get install chromium`, or the one
# that the environment variable CHROMIUM names. The tests skip, with a message,
# where any of them is absent.
set -eu
cd "$(dirname "$0")/../tests/web"
PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm install --no-audit --no-fund --no-package-lock --silent
node -e 'console.log("playwright-core", require("playwright-core/package.json").version, "axe-core", require("axe-core/package.json").version)'
