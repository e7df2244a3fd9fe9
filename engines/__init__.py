"""Private Docker engines for the demo, the tests and the benchmarks.

An engine of this package has its own folder, socket, mounts and containerd. It leaves the machine's own
engine and other private ones alone, several can run at once, and nothing of it is left when it has
stopped. It needs root and the standard library only.

    from engines.private import Engine
    from engines.image import make_image

    with Engine.start("26.1") as engine:
        make_image(engine)
        engine.install_plugin(Path("build/plugin"), data=engine.home / "data")
        engine.docker("run", "--network=none", "--log-driver=logboom", "--name=first", "bb", "echo", "hello")
        print(engine.docker("logs", "first").stdout)
"""
