"""`python -m lab.api`: the lab's AWS, until it is told to stop."""

import argparse
import logging
import os
import sys
from pathlib import Path

from lab.api.ports import PortInUseError, refuse_busy


def main() -> int:
    """Serve; 1 when an address is taken."""
    options = _options()
    try:
        refuse_busy("127.0.0.1", options.port)
        if options.tls_address:
            refuse_busy(options.tls_address, options.tls_port)
    except PortInUseError as error:
        print(f"lab.api: {error}; stop that program, or choose another address", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"lab.api: cannot listen: {error}", file=sys.stderr)
        return 1
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", level=options.log_level.upper())
    # moto reads its settings when it is imported.
    if options.amis:
        os.environ["MOTO_AMIS_PATH"] = str(options.amis)
        os.environ["MOTO_ENABLE_AMI_VALIDATION"] = "true"
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"

    from lab.api import instances
    from lab.api.run import serve

    if options.machines:
        instances.with_machines()
    serve(options.port, options.region, options.tls_address, options.tls_port, options.tls_dir)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lab.api", description="The lab's AWS API.")
    parser.add_argument("--port", type=int, default=4566, help="plain HTTP on 127.0.0.1 (default 4566)")
    parser.add_argument("--tls-address", help="address for HTTPS, for the machines (default: no HTTPS)")
    parser.add_argument("--tls-port", type=int, default=443, help="default 443")
    parser.add_argument("--tls-dir", type=Path, help="the lab's certificate authority; made when missing")
    parser.add_argument("--amis", type=Path, help="JSON list of machine images; other images are refused then")
    parser.add_argument(
        "--machines", action="store_true", help="a controller says when instances have shut down (default: at once)"
    )
    parser.add_argument("--region", default="us-east-1", help="default us-east-1")
    parser.add_argument("--log-level", default="warning", choices=["debug", "info", "warning"])
    options = parser.parse_args()
    if options.tls_address and not options.tls_dir:
        parser.error("--tls-address needs --tls-dir")
    return options


if __name__ == "__main__":
    sys.exit(main())
