-- The local socket's questions: take this list, how are the servers, and how are the routes?
local cjson = require "cjson.safe"
local memory = require "balancer.memory"
local routes = require "balancer.routes"
local servers = require "balancer.servers"

local _M = {}

local BOUNDS = { "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf" }

local function answer(status, text)
    ngx.status = status
    ngx.header.content_type = "application/json"
    ngx.say(text)
end

local function refuse(status, problem)
    answer(status, cjson.encode({ error = problem }))
end

-- How many answers, over all workers, had which class and took how long. `found` gives a worker's row, `told` gets the sums.
-- Each bucket counts in those below it, as Prometheus has them.
local function sum_answers(found, told)
    told.seconds, told.statuses, told.buckets = 0, { ["2xx"] = 0, ["3xx"] = 0, ["4xx"] = 0, ["5xx"] = 0 }, {}
    for row = 0, memory.shared.rows - 1 do
        local counts = found(row)
        told.seconds = told.seconds + counts.seconds
        for class = 2, 5 do
            told.statuses[class .. "xx"] = told.statuses[class .. "xx"] + counts.statuses[class]
        end
        local below = 0
        for position, bound in ipairs(BOUNDS) do
            below = below + counts.buckets[position - 1]
            told.buckets[bound] = (told.buckets[bound] or 0) + below
        end
    end
    return told
end

-- A server's counts since Nginx's start, over all workers.
local function reading(each, at)
    local shared, server = memory.shared, memory.shared.servers[each.slot]
    local told = {
        id = each.id, address = each.address, port = each.port,
        in_flight = 0, requests = 0, connect_failures = 0, retries = 0,
        aside_for = server.aside_since > 0 and math.max(0, at - server.aside_since) or 0,
    }
    for row = 0, shared.rows - 1 do
        local counts = shared.counts[row][each.slot]
        for _, name in ipairs { "in_flight", "requests", "connect_failures", "retries" } do
            told[name] = told[name] + counts[name]
        end
    end
    return sum_answers(function(row) return shared.counts[row][each.slot] end, told)
end

local function read()
    local state, at = servers.state(), ngx.now()
    local listed, leaving = {}, {}
    for position, each in ipairs(state.servers) do
        listed[position] = reading(each, at)
    end
    for _, each in ipairs(state.leaving) do
        if servers.is_shown(each, at) then
            leaving[#leaving + 1] = reading(each, at)
        end
    end
    answer(200, '{"servers":' .. servers.encode(listed) .. ',"leaving":' .. servers.encode(leaving) .. "}")
end

local function put(path)
    ngx.req.read_body()
    local list, problem = servers.parse(ngx.req.get_body_data() or "")
    if not list then
        return refuse(400, problem)
    end
    servers.put(list, path)
    answer(200, cjson.encode({ applied = #list }))
end

-- The content of /routes: each answers since Nginx's start, by the route that they were for.
function _M.answer_routes()
    local told = {}
    for slot, name in pairs(routes.names()) do
        local own = 0
        for row = 0, memory.shared.rows - 1 do
            own = own + memory.shared.routes[row][slot].own_errors
        end
        local found = { route = name, own_errors = own }
        told[#told + 1] = sum_answers(function(row) return memory.shared.routes[row][slot] end, found)
    end
    answer(200, '{"routes":' .. servers.encode(told) .. "}")
end

-- The content of /servers.
function _M.answer(path)
    local method = ngx.req.get_method()
    if method == "GET" then
        return read()
    elseif method == "PUT" then
        return put(path)
    end
    ngx.header.allow = "GET, PUT"
    refuse(405, method .. " is not GET or PUT")
end

return _M
