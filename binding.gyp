{
  "variables": {
    # node-gyp rebuild -- -Dwerror=true -Dsanitize=address,undefined
    "werror%": "false",
    "sanitize%": "",
    "openssl_fips": ""
  },
  "targets": [
    {
      "target_name": "vfio",
      "sources": ["<!@(node -p \"require('node:fs').readdirSync('native').filter((f) => f.endsWith('.cc')).sort().map((f) => 'native/' + f).join(' ')\")"],
      "defines": [
        # 9 is the highest Node-API version that every supported Node has (20.19).
        "NAPI_VERSION=9",
        "NAPI_DISABLE_CPP_EXCEPTIONS",
        "NODE_ADDON_API_DISABLE_DEPRECATED",
        "_GNU_SOURCE",
        "_FILE_OFFSET_BITS=64"
      ],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": [
        # -isystem with an absolute path: node-addon-api's own headers do not pass -Wshadow and -Wconversion.
        # In the package as published they are beside the sources.
        "-isystem", "<(module_root_dir)/<!(node -p \"require('node:fs').existsSync('native/node-addon-api') ? 'native/node-addon-api' : require('node-addon-api').include_dir\")",
        "-std=c++20", "-fno-exceptions", "-fvisibility=hidden",
        "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wunused-parameter", "-Wno-missing-field-initializers"
      ],
      "ldflags": ["-Wl,--exclude-libs,ALL"],
      "conditions": [
        ["werror=='true'", { "cflags_cc": ["-Werror"] }],
        ["sanitize!=''", {
          "cflags_cc": ["-fsanitize=<(sanitize)", "-g", "-fno-omit-frame-pointer"],
          "ldflags": ["-fsanitize=<(sanitize)"]
        }]
      ]
    }
  ]
}
