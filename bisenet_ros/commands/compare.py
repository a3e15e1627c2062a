# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Compare two evaluation reports of the same bag."""

import argparse
from pathlib import Path

EXTRA = "evaluation"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Two models, or two precisions of one, side by side: REPORT_A and REPORT_B are folders that `bisenet "
        "evaluate-bag` made of the same bag with the same classes. Differences are B minus A."
    )
    parser.add_argument("report_a", type=Path, metavar="REPORT_A", help="a folder that evaluate-bag made")
    parser.add_argument("report_b", type=Path, metavar="REPORT_B", help="another, of the same bag")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="a folder for compare.html, compare.json and compare.txt"
    )
    parser.add_argument("--force", action="store_true", help="replace the files of an earlier comparison there")


def run(arguments: argparse.Namespace) -> int:
    from bisenet_ros.evaluation.report.comparison import compare_reports
    from bisenet_ros.evaluation.report.comparison_report import FILES, to_text, write_comparison
    from bisenet_ros.evaluation.report.finished_report import read_report
    from bisenet_ros.files.result_folder import require_free

    if arguments.output:
        require_free(arguments.output, FILES, force=arguments.force)
    found = compare_reports(read_report(arguments.report_a), read_report(arguments.report_b))
    print(to_text(found), end="")
    if arguments.output:
        write_comparison(arguments.output, found)
        print(f"\nreport: {arguments.output / 'compare.html'}")
    return 0
