"""Where jobs run, each in a process of its own: on this machine, or as Ray's tasks on many.

``executor`` is what all of them are to a sweep; a ``job`` comes in, a result goes out, however the job ended
(``endings``). ``local`` is fed by a fork server that has torch loaded (``server``, ``server_process``). Around either
of them ``repeating`` runs again what was lost, and ``cards`` shares out GPUs. Ray: the driver's side is
``ray_executor``, a node's ``ray_worker``, what travels between them ``ray_parcel``, the cluster itself ``ray_cluster``.
"""
