from aethel_cli.main import main

main()
