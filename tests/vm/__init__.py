"""The same tests once more, on a second kernel.

User-mode Linux is a kernel that runs as a process. This one is older (6.1), has a pure cgroup v2 tree with real
controllers, and no nftables: the other half of the hosts there are.

- `kernel`: boots one, as a process on one CPU
- `init.sh`: its process 1, which makes a host and runs the work it is given
- `inside`: a pytest plugin there: takes tests from the list that all kernels share, hands each result out at once
- `conftest`, `test_second_kernel`: one pytest result here for each test there
"""
