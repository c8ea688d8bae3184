#!/bin/sh
# A newcomer's first minutes with the packed package, in a root that has neither a compiler nor a network nor anything of this checkout.
set -eu
mkdir -p /project && cd /project
export HOME=/root npm_config_cache=/package/cache npm_config_offline=true npm_config_update_notifier=false

for tool in g++ gcc cc make python3; do
  ! command -v "$tool" || { echo "$tool is here: this is no clean root"; exit 1; }
done

echo '$ npm install vfio'
npm init -y >/dev/null
npm install --no-audit --no-fund /package/vfio.tgz
npm ls --all
du -sh node_modules
node -e 'import("vfio").then(({ support }) => { console.log(support); process.exitCode = support.supported ? 0 : 1; })'
node -e 'if (require("vfio").support !== undefined) console.log("require() works too")'

echo '$ npm ci'
npm ci --no-audit --no-fund

# Whether there are devices is the machine's business: that the command has an answer is what counts.
for command in list doctor; do
  echo "\$ npx vfio $command"
  code=0
  npx vfio $command || code=$?
  [ $code -le 1 ] || exit $code
done
[ "$(npx vfio list --json | head -c 1)" = "{" ]

# As root it would go on in the rig, for which this root has no emulator.
echo '$ npx vfio demo, as nobody'
HOME=/tmp setpriv --reuid 65534 --regid 65534 --clear-groups node node_modules/vfio/dist/cli/main.js demo

echo '$ without the prebuilt addon'
mv node_modules/vfio/prebuilds /prebuilds
node -e 'import("vfio").then(({ support, openContainer }) => {
  console.log(support);
  try { openContainer(); } catch (error) { console.log(error.code); process.exitCode = error.code === "ERR_VFIO_UNSUPPORTED" ? 0 : 1; }
})'
