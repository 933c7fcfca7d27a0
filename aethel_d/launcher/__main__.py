from aethel_d.launcher.main import main

main()
