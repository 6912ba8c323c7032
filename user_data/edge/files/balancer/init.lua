-- The balancer, as nginx.conf starts it in the master and in each worker. What it calls for each request are globals: even
-- finding a module by its name would cost more than choosing a server does.
local memory = require "balancer.memory"
local servers = require "balancer.servers"

local _M = {}

-- In the master, before there are workers; `path` is where the list is kept.
function _M.start(path)
    memory.map()
    servers.restore(path)
    local balance, routes, api = require "balancer.balance", require "balancer.routes", require "balancer.api"
    require "balancer.watch"
    balancer_phase, balancer_phase_of_writes = balance.balance, balance.balance_writes
    local now, done, count = ngx.now, balance.done, routes.count
    function balancer_log()
        local status, at = ngx.status, now()
        count(status, at, done(status, at))
    end
    function balancer_api()
        api.answer(path)
    end
    balancer_routes = api.answer_routes
end

function _M.start_worker()
    require("balancer.balance").start()
    require("balancer.routes").start()
    require("balancer.watch").start()
    if ngx.worker.id() == 0 then
        assert(ngx.timer.every(1, memory.sweep))
    end
end

return _M
