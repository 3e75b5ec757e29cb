"""`multusctl demo`: Multus at work for somebody who has only this machine.

`topology` is what will be there and what must be true of it, as data; `story` is the sequence; `machine`, `plugin`
and `probes` touch the machine; `report` tells. Everything lives in network namespaces whose names begin with
``mxdemo-`` and in `/run/multus-demo`, so that `cleanup` finds what a run that crashed has left.
"""
