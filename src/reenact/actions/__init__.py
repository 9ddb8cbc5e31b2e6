"""The use cases, one a file: settings in, wired parts, a result out. The only place where parts are put together."""
