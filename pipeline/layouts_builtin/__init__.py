"""The layouts that ship with the package, one TOML file each; a deployment adds its own."""
