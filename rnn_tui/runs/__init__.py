"""The run folder, the only truth shared by the app, the command line and the worker.

Plain files with one writer: layout and creation (`folder`), the event log (`events`), what the worker says of
itself (`status`), who may write (`lock`), requests to the worker (`control`), the list of runs (`listing`),
and starting, following and stopping a worker (`supervisor`). Free of torch and of every face.
"""
