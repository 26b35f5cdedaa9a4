// The plugin of registry-agent for yarn 3 and later: asks the agent for the login of an npm registry. YARN_PLUGINS names
// this file.

const { spawnSync } = require("child_process");
const { join } = require("path");

const HELPER = join(__dirname, "bin", "npm-credential-registry-agent");
const TIMEOUT = 12_000;
// yarn asks for each file. A token is served no later than this before its end.
const KEPT = 5_000;

const kept = new Map();

module.exports = {
  name: "plugin-registry-agent",
  factory: () => ({
    hooks: {
      async getNpmAuthenticationHeader(current, registry, { configuration, ident }) {
        return current || hasOwnLogin(registry, configuration, ident) ? current : login(registry);
      },
    },
  }),
};

function login(registry) {
  const known = kept.get(registry);
  if (known && Date.now() - known.at < KEPT) return known.header;
  const { status, stdout } = spawnSync(HELPER, ["get", registry], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    timeout: TIMEOUT,
  });
  const header = status === 0 ? stdout.trimEnd() : undefined;
  kept.set(registry, { at: Date.now(), header });
  return header;
}

// yarn prefers the login of a plugin to that of its own settings, so those have to be read here. A login for the default
// registry is none for others.
function hasOwnLogin(registry, configuration, ident) {
  const hasLogin = (settings) => Boolean(settings?.get("npmAuthToken") || settings?.get("npmAuthIdent"));
  if (ident?.scope && hasLogin(configuration.get("npmScopes").get(ident.scope))) return true;
  for (const [url, settings] of configuration.get("npmRegistries")) {
    if (isSame(url, registry) && hasLogin(settings)) return true;
  }
  return isSame(configuration.get("npmRegistryServer"), registry) && hasLogin(configuration);
}

// A key in `npmRegistries` needs no scheme.
function isSame(url, registry) {
  const bare = (text) => text.replace(/^[a-z]+:/, "").replace(/\/+$/, "");
  return bare(url) === bare(registry);
}
