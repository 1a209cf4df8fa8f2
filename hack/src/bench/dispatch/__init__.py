"""`hack/bench/dispatch`: how fast the operator brings waiting jobs to their members, against a bare client.

Floor and operator are measured in one run on the same servers, one after the other, because they share the machine's cores.
What makes the two comparable:

* The same writes with the same bodies: per job one PATCH of the ComputeJob's status that commits the assignment, then one
  POST of the Job on the member. The status is one the operator really wrote in this run; the Job is rendered by the
  operator's own `render.job_manifest`. Fields that differ from job to job (UID, name, resourceVersion) are the floor job's own.
* The same way in: the operator's token on the hub and the joined site's token on the member, over TLS with kept connections, so
  that authentication, RBAC, admission policies and fair queuing cost both the same.
* The same surroundings: as many ComputeJobs on the hub, made beforehand; the same nodes and controllers, which create,
  schedule and run the pods of the Jobs meanwhile; namespaces with the same quota and network policy on the members; audit
  logs on everywhere. Between two measurements everything is removed and the servers have to be quiet. (The floor's jobs go
  to the members in turn, the operator's where they are cheapest while there is room; all servers share the same cores.)
* The floor does only that: bodies are encoded beforehand, answers are read but not parsed, nothing is watched or decided. The
  concurrency is the best of several, found with smaller rounds.
* The operator's clock runs from its log line "leading" to the last member Job, by the API servers' audit logs. It includes
  connecting to the members, placing, and whatever it writes of jobs that start to run meanwhile.

Latency is measured with the queue's own jobs at half the operator's rate, so that they load the machine half as much; their ends come
after the last has been dispatched, as the queue's do. (When jobs arrive and end at that rate at the same time, the members' own
controllers and the API servers fill two cores, whoever dispatches.)

The floor is measured before and after the operator; the ratio is against the better of the two rounds.
"""
